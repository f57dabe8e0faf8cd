#!/usr/bin/env bash
# Checks the chart: lints it, renders it with each file of values/, and holds what comes out against the schemas of the
# Kubernetes API. Then values that cannot work, each of which must be refused with a message that names it.
#
# Needs Go and Node. helm, kubeconform and the schemas come from Go modules of fixed versions. They are made once, in TOOLS
# (default ~/.cache/chaptercast-helm).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

helm_version=v3.22.0
kubeconform_version=v0.8.0
kubernetes_version=v1.34.1
operator_version=v0.85.0

tools=${TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/chaptercast-helm}
schemas=$tools/schemas-$kubernetes_version-$operator_version
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export PATH=$tools:$PATH
# Nothing of the user's own helm.
export HELM_CONFIG_HOME=$out/config HELM_CACHE_HOME=$out/cache HELM_DATA_HOME=$out/data

[[ -x $tools/helm ]] || GOBIN=$tools go install "helm.sh/helm/v3/cmd/helm@$helm_version"
[[ -x $tools/kubeconform ]] ||
  GOBIN=$tools go install "github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform_version"

directory_of() {
  go mod download -json "$1" | node -e 'console.log(JSON.parse(require("fs").readFileSync(0, "utf8")).Dir)'
}
if [[ ! -d $schemas ]]; then
  kubernetes=$(directory_of "k8s.io/kubernetes@$kubernetes_version")
  operator=$(directory_of "github.com/prometheus-operator/prometheus-operator@$operator_version")
  mkdir -p "$out/schemas"
  node schemas.mjs "$kubernetes/api/openapi-spec/swagger.json" \
    "$operator/jsonnet/prometheus-operator/servicemonitors-crd.json" "$out/schemas"
  mkdir -p "$tools" && mv "$out/schemas" "$schemas"
fi

render() {
  helm template try chaptercast --namespace lessons --kube-version "$kubernetes_version" "$@"
}

for values in values/*.yaml; do
  name=$(basename "$values" .yaml)
  printf '== %s\n' "$name"
  helm lint --quiet --strict --kube-version "$kubernetes_version" chaptercast --values "$values"
  render --values "$values" >"$out/$name.yaml"
  kubeconform -strict -summary -schema-location "$schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json" "$out/$name.yaml"
done

# What each file is there for.
shows() {
  grep -qE -- "$2" "$out/$1.yaml" || { printf '%s: nothing matches %s\n' "$1" "$2"; exit 1; }
}
hides() {
  ! grep -qE -- "$2" "$out/$1.yaml" || { printf '%s: something matches %s\n' "$1" "$2"; exit 1; }
}
printf '== what is rendered\n'
shows smallest 'helm.sh/hook: pre-install,pre-upgrade'
shows smallest 'terminationGracePeriodSeconds: 35$'
shows smallest 'value: http://try-chaptercast.lessons.svc:80$|value: "http://try-chaptercast.lessons.svc:80"'
shows smallest 'value: "websocket"'
hides smallest 'kind: (Ingress|HorizontalPodAutoscaler|PodDisruptionBudget|NetworkPolicy|ServiceMonitor)$'
shows haproxy 'stick match url_param\(sid\)'
shows haproxy 'option abortonclose'
shows haproxy 'http-error status 503 content-type application/problem\+json'
hides haproxy SOCKET_TRANSPORTS
shows haproxy 'value: "2592000000"'
shows haproxy-ingress 'haproxy-ingress.github.io/config-backend'
hides haproxy-ingress SOCKET_TRANSPORTS
shows nginx 'value: "websocket"'
hides one-node SOCKET_TRANSPORTS
shows everything 'kind: HorizontalPodAutoscaler'
hides everything '^  replicas: 2$'
shows everything 'averageValue: "2500"'
shows everything 'kind: ServiceMonitor'
shows everything 'dist/generator/main.js'
shows everything 'value: /secrets/DATABASE_PASSWORD_FILE'

refused() {
  local message=$1
  shift
  if render "$@" >"$out/refused" 2>&1 || ! grep -q -- "$message" "$out/refused"; then
    printf 'not refused with "%s": %s\n' "$message" "$*"
    head -n 20 "$out/refused"
    exit 1
  fi
}
printf '== what is refused\n'
for name in DATABASE_URL WEBHOOK_SECRET REDIS_URL; do
  grep -v "^  $name:" values/smallest.yaml >"$out/without"
  refused "secrets.$name.* is missing" --values "$out/without"
done
refused 'needs settings.KAFKA_BROKERS' --values values/smallest.yaml --set generator.enabled=true
refused 'must be shorter than' --values values/smallest.yaml --set settings.DRAIN_DELAY_MS=30000
refused 'JWT_SECRET' --values values/smallest.yaml --set settings.JWT_SECRET=0123456789abcdef0123456789abcdef
refused 'DATABASE_URL' --values values/smallest.yaml --set settings.DATABASE_URL=postgres://user:word@postgres/chaptercast
refused 'replicaCount' --values values/smallest.yaml --set replicaCount=3
refused 'ingress.kind\|/ingress/kind' --values values/smallest.yaml --set ingress.kind=traefik

printf '\nthe chart is good\n'

# Compiles what changed, and says so when that takes a while: at the first start, and after an update. On stderr, since
# what a command prints may be read by another one.
if [ ! -f dist/.tsbuildinfo ]; then
  echo 'Compiling. Only the first start does this, and it takes some seconds …' >&2
elif [ -n "$(find src package-lock.json -newer dist/.tsbuildinfo \( -name '*.ts' -o -name package-lock.json \) ! -path '*/node_modules/*' ! -path '*/dist/*' | head -n 1)" ]; then
  echo 'Compiling what changed …' >&2
fi
exec tsc -b

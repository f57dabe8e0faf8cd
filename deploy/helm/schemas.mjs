/**
 * Writes the schemas of kinds as kubeconform reads them: from the Kubernetes API's own description, and from a
 * resource definition in JSON. Unknown fields are refused, so that a field at the wrong place is found.
 *
 *   node schemas.mjs <swagger.json> <definition.json> <directory>
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [swagger, definition, directory] = process.argv.slice(2)
const { definitions } = JSON.parse(readFileSync(swagger, 'utf8'))
for (const schema of Object.values(definitions)) close(schema)

for (const [name, schema] of Object.entries(definitions))
  for (const { group, kind, version } of schema['x-kubernetes-group-version-kind'] ?? [])
    write(group, kind, version, { $ref: `#/definitions/${name}`, definitions: reachable(name) })

const { group, names, versions } = JSON.parse(readFileSync(definition, 'utf8')).spec
for (const { name, schema } of versions) {
  const { openAPIV3Schema } = schema
  close(openAPIV3Schema)
  // A definition says of it only that it is there.
  openAPIV3Schema.properties.metadata = definitions['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta']
  const meta = reachable('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta')
  write(group, names.kind, name, { ...openAPIV3Schema, definitions: meta })
}

function write(group, kind, version, schema) {
  const prefix = group === '' ? '' : `${group.split('.')[0]}-`
  writeFileSync(join(directory, `${kind}-${prefix}${version}.json`.toLowerCase()), JSON.stringify(schema))
}

/** No more fields than it names, at any depth. */
function close(schema) {
  if (typeof schema !== 'object' || schema === null) return
  if (schema.format === 'int-or-string') {
    schema.type = ['integer', 'string']
    delete schema.format
  }
  const isOpen = 'additionalProperties' in schema || schema['x-kubernetes-preserve-unknown-fields'] === true
  if ('properties' in schema && !isOpen) schema.additionalProperties = false
  for (const inner of [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties])
    close(inner)
}

/** A definition and all that it refers to. */
function reachable(name, found = {}) {
  if (name in found) return found
  found[name] = definitions[name]
  for (const [, other] of JSON.stringify(definitions[name]).matchAll(/"#\/definitions\/([^"]+)"/g))
    reachable(other, found)
  return found
}

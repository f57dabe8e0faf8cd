/**
 * Statements that are prepared by name: parsed once a connection, not at every call.
 */
import { DrizzleQueryError } from 'drizzle-orm/errors'
import { type PgDatabase, PgDialect, type PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { type SQL, sql } from 'drizzle-orm/sql'

/** Any Drizzle PostgreSQL database. */
export type Db = PgDatabase<PgQueryResultHKT, Record<string, unknown>>

const dialect = new PgDialect()

/**
 * A statement prepared by name: parsed and planned once a connection, not at every call.
 * `statement` takes its values from `sql.placeholder(name)`.
 */
export function prepare<Row>(
  db: Db,
  name: string,
  statement: SQL,
): (values: Record<string, unknown>) => Promise<Row[]> {
  const query = db._.session.prepareQuery(dialect.sqlToQuery(statement), undefined, name, false)
  return async (values) => {
    try {
      const result = (await query.execute(values)) as Row[] | { rows: Row[] }
      return Array.isArray(result) ? result : result.rows
    } catch (error) {
      // Drizzle’s own error repeats every parameter in its message: whole chapters, in every log line.
      throw withoutValues(
        error instanceof DrizzleQueryError && error.cause !== undefined ? error.cause : error,
      )
    }
  }
}

/** A statement that is put together from parts: each combination that occurs is prepared once, by its own name. */
export function preparedByParts<Row, Part extends string>(
  db: Db,
  name: string,
  build: (parts: readonly Part[]) => SQL,
): (parts: readonly Part[], values: Record<string, unknown>) => Promise<Row[]> {
  const prepared = new Map<string, (values: Record<string, unknown>) => Promise<Row[]>>()
  return (parts, values) => {
    const key = parts.join()
    const statement = prepared.get(key) ?? prepare<Row>(db, `${name}_${prepared.size}`, build(parts))
    prepared.set(key, statement)
    return statement(values)
  }
}

/** Databases repeat values in properties that a logger would write; what failed is in the code and the message. */
function withoutValues(error: unknown): unknown {
  if (typeof error === 'object' && error !== null)
    for (const name of ['query', 'params', 'parameters', 'args', 'detail', 'where', 'internalQuery'])
      Reflect.deleteProperty(error, name)
  return error
}

/** A placeholder for a JSON value; give it `JSON.stringify`ed. */
export function jsonParameter(name: string): SQL {
  return sql`${sql.placeholder(name)}::json`
}

/**
 * kafkajs 2.2.4 asks itself every millisecond whether a request waits, for as long as a connection is open, also when
 * none does: about three percent of a core for each connection, and on Node 24 a `TimeoutNegativeWarning` at start
 * (https://github.com/tulios/kafkajs/issues/1704). Loaded before the first client, this lets it ask only while one
 * waits. A request that comes later begins to ask by itself (`push`).
 */
import { createRequire } from 'node:module'

interface RequestQueue {
  pending: unknown[]
  scheduleCheckPendingRequests(): void
}

const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
  prototype: RequestQueue
}
const { scheduleCheckPendingRequests } = prototype

prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
  if (this.pending.length > 0) scheduleCheckPendingRequests.call(this)
}

/**
 * For each key: the first at once, then at most one every `everyMs`. What was offered meanwhile is sent once when the
 * time is over, so the last one is always sent. Keeps nothing of a key that was quiet for that long.
 */
export interface Throttle<Key> {
  offer(key: Key): void
  /** Sends it now, whenever the last one was. */
  sendNow(key: Key): void
  /** Sends all that wait. */
  flush(): void
  /** Sends nothing more. */
  stop(): void
}

export function createThrottle<Key>(everyMs: number, send: (key: Key) => void): Throttle<Key> {
  const keys = new Map<Key, { isWaiting: boolean; timer: NodeJS.Timeout }>()

  function sendNow(key: Key): void {
    clearTimeout(keys.get(key)?.timer)
    keys.set(key, { isWaiting: false, timer: setTimeout(() => next(key), everyMs) })
    send(key)
  }

  function next(key: Key): void {
    if (keys.get(key)?.isWaiting === true) sendNow(key)
    else keys.delete(key)
  }

  return {
    offer(key) {
      const known = keys.get(key)
      if (known === undefined) sendNow(key)
      else known.isWaiting = true
    },
    sendNow,
    flush() {
      for (const [key, { isWaiting }] of [...keys]) if (isWaiting) sendNow(key)
    },
    stop() {
      for (const { timer } of keys.values()) clearTimeout(timer)
      keys.clear()
    },
  }
}

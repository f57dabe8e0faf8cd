/**
 * A number of places for work, given in the order they were asked for.
 */
export interface Semaphore {
  readonly taken: number
  /** Resolves with what gives the place back, once. Rejects when `signal` aborts first. */
  take(signal: AbortSignal): Promise<() => void>
}

export function createSemaphore(size: number): Semaphore {
  const waiting: (() => void)[] = []
  let taken = 0

  function place(): () => void {
    taken += 1
    let isGiven = false
    return () => {
      if (isGiven) return
      isGiven = true
      taken -= 1
      waiting.shift()?.()
    }
  }

  return {
    get taken() {
      return taken
    },
    async take(signal) {
      signal.throwIfAborted()
      if (taken < size) return place()
      return new Promise((resolve, reject) => {
        const next = () => {
          signal.removeEventListener('abort', abort)
          resolve(place())
        }
        const abort = () => {
          waiting.splice(waiting.indexOf(next), 1)
          reject(signal.reason)
        }
        signal.addEventListener('abort', abort, { once: true })
        waiting.push(next)
      })
    },
  }
}

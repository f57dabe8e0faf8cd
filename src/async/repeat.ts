/**
 * A task that runs again and again, never twice at once, with a jittered pause between: nodes that started
 * together do not ask the database together. A failure is reported and the next turn comes all the same.
 */
export interface Repeating {
  /**
   * Runs the task as soon as it can; once more after the turn under way, if there is one.
   * @param lingerMs how long the turn may wait, so that several requests share it
   */
  soon(lingerMs?: number): void
  /** No further turn; resolves when the one under way is over. */
  stop(): Promise<void>
}

/** Node runs a timer that is longer at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * @param task returns true to be run again at once, because there was more than it could take
 * @param everyMs mean pause between two turns
 */
export function repeat(
  task: () => Promise<boolean | undefined>,
  everyMs: number,
  onError: (error: unknown) => void,
): Repeating {
  let timer: NodeJS.Timeout | undefined
  let turn: Promise<void> | undefined
  let dueAt = 0
  /** A turn was asked for during the one under way: how long it may wait, ms. */
  let wantedWithinMs: number | undefined
  let isStopped = false

  function schedule(waitMs: number): void {
    clearTimeout(timer)
    timer = setTimeout(begin, Math.min(waitMs, MAX_TIMER_MS))
    dueAt = performance.now() + waitMs
  }

  function begin(): void {
    clearTimeout(timer)
    wantedWithinMs = undefined
    turn = task()
      .catch((error: unknown) => {
        onError(error)
        return false
      })
      .then((hasMore) => {
        turn = undefined
        if (isStopped) return
        schedule(hasMore === true ? 0 : (wantedWithinMs ?? everyMs * (0.75 + Math.random() / 2)))
      })
  }

  schedule(everyMs * Math.random())
  return {
    soon(lingerMs = 0) {
      if (isStopped) return
      if (turn !== undefined) wantedWithinMs = Math.min(lingerMs, wantedWithinMs ?? lingerMs)
      else if (performance.now() + lingerMs < dueAt) schedule(lingerMs)
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await turn
    },
  }
}

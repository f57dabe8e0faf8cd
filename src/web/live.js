/**
 * The Socket.IO side: one connection, in the room of at most one chapter.
 * It joins by itself with the cursor of what the page has (`auth: { resume: false }`), again after
 * every reconnect, so that a chapter is resumed where it was left. Retries never end while the page
 * is open, but are spaced out and jittered.
 */
import { io } from '/socket.io/socket.io.esm.min.js'

/** @typedef {import('../contract/socket.js').JoinedChapter} JoinedChapter */
/** @typedef {import('../contract/event.js').EventName} EventName */
/** @typedef {import('../contract/event.js').ProgressUpdate} ProgressUpdate */
/** @typedef {import('./chapter.js').EventData} EventData */
/** @typedef {'connecting' | 'live' | 'reconnecting'} Connection */

/**
 * @typedef {{
 *   id: number,
 *   cursor: () => number,
 *   joined: (joined: JoinedChapter) => void,
 *   refused: (refusal: { code: string, message: string }) => void,
 *   event: (name: EventName, data: EventData) => void,
 *   progress: (update: ProgressUpdate) => void,
 * }} Watcher
 */

const ACK_PATIENCE_MS = 15_000
const REJOIN_MIN_MS = 1000
const REJOIN_MAX_MS = 30_000
const TRY_AGAIN = ['unavailable', 'internal', 'too_many_requests', 'request_timeout']

/** @param {(connection: Connection) => void} onConnection */
export function openLive(onConnection) {
  const socket = io({
    auth: { resume: false },
    // A websocket needs no sticky load balancer; polling is there where websockets are blocked.
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
  })

  /** @type {{ watcher: Watcher, join: number, answered: boolean, failures: number } | null} */
  let room = null
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let reconnect

  function join() {
    // Socket.IO would keep what is emitted now for later, beside the join that a connect makes anyway.
    if (room === null || !socket.connected) return
    const own = room
    own.join += 1
    own.answered = false
    const join = own.join
    const { id, cursor } = own.watcher
    socket
      .timeout(ACK_PATIENCE_MS)
      .emit(
        'join_chapter',
        { chapter_id: id, after_seq: cursor() },
        (/** @type {unknown} */ late, /** @type {any} */ ack) => {
          if (room !== own || own.join !== join || !socket.connected) return
          if (late) return rejoinLater(own)
          if (ack.ok) return answer(own, ack)
          own.watcher.refused(ack)
          if (TRY_AGAIN.includes(ack.code)) rejoinLater(own)
        },
      )
  }

  /** @param {NonNullable<typeof room>} own */
  function rejoinLater(own) {
    own.failures += 1
    const cap = Math.min(REJOIN_MAX_MS, REJOIN_MIN_MS * 2 ** own.failures)
    setTimeout(() => room === own && rejoin(), REJOIN_MIN_MS + Math.random() * cap)
  }

  /** A room one is in replays nothing: leave it first. */
  function rejoin() {
    if (room === null || !socket.connected) return
    socket.emit('leave_chapter', { chapter_id: room.watcher.id })
    join()
  }

  /**
   * `joined_chapter` comes before the replay, the ack before or after it: whichever is first
   * counts, for a reset that came after the replay would forget what was just replayed.
   * @param {NonNullable<typeof room>} own @param {JoinedChapter} joined
   */
  function answer(own, joined) {
    if (own.answered) return
    own.answered = true
    own.failures = 0
    own.watcher.joined(joined)
  }

  socket.on('connect', () => {
    onConnection('live')
    join()
  })
  socket.on('disconnect', (reason) => {
    onConnection('reconnecting')
    // The one reason after which Socket.IO stays away, unless the page itself left.
    if (reason === 'io server disconnect') connectLater()
  })
  socket.on('connect_error', () => {
    onConnection('reconnecting')
    // Refused by the server: Socket.IO gives up, we do not.
    if (!socket.active) connectLater()
  })
  socket.on('joined_chapter', (joined) => {
    if (room !== null && room.watcher.id === joined.chapter_id) answer(room, joined)
  })
  socket.on('join_failed', () => {}) // The ack says the same.
  socket.onAny((name, data) => {
    if (room === null || data?.chapter_id !== room.watcher.id) return
    if (name === 'progress_update') room.watcher.progress(data)
    else if (Number.isInteger(data.seq)) room.watcher.event(name, data)
  })

  function connectLater() {
    clearTimeout(reconnect)
    reconnect = setTimeout(() => socket.connect(), 1000 + Math.random() * 4000)
  }

  /** Connects at once instead of after the rest of a wait: the person is looking now. */
  function connectNow() {
    if (socket.connected) return
    clearTimeout(reconnect)
    socket.disconnect().connect()
  }

  window.addEventListener('online', connectNow)
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') connectNow()
  })
  // A page with an open connection is not kept for the back button. It is closed here, and the page
  // that comes back resumes after the last event it has.
  window.addEventListener('pagehide', () => {
    clearTimeout(reconnect)
    socket.disconnect()
  })
  window.addEventListener('pageshow', (shown) => {
    if (shown.persisted) connectNow()
  })

  return {
    /** Leaves the room it is in, and is in `watcher`’s from now on. @param {Watcher} watcher */
    watch(watcher) {
      this.leave()
      room = { watcher, join: 0, answered: false, failures: 0 }
      join()
    },
    leave() {
      if (room !== null && socket.connected) socket.emit('leave_chapter', { chapter_id: room.watcher.id })
      room = null
    },
    /** Asks again for everything after the cursor. */
    resync: rejoin,
  }
}

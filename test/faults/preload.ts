/**
 * Loaded into a node before the program (`node --import`): its clock can be set wrong, and its connections to brokers
 * take a way that can be cut.
 *
 * - `FAULTS_CLOCK_MS`: SIGUSR2 sets the clock off by this much, and right again the next time.
 * - `FAULTS_BROKER_PORT`: where connections go that are to none of `FAULTS_KNOWN_PORTS`. A broker gives out an address of
 *   its own, so the setting alone does not do.
 */
import { Socket } from 'node:net'

const { FAULTS_CLOCK_MS = '0', FAULTS_BROKER_PORT, FAULTS_KNOWN_PORTS = '' } = process.env

let offMs = 0
process.on('SIGUSR2', () => {
  offMs = offMs === 0 ? Number(FAULTS_CLOCK_MS) : 0
})

const RightDate = Date
globalThis.Date = new Proxy(RightDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RightDate.now() + offMs] : args, newTarget),
  apply: () => new RightDate(RightDate.now() + offMs).toString(),
  get: (target, name) => (name === 'now' ? () => RightDate.now() + offMs : Reflect.get(target, name)),
})

if (FAULTS_BROKER_PORT !== undefined) {
  const known = new Set(FAULTS_KNOWN_PORTS.split(','))
  const connect = Socket.prototype.connect as (...args: unknown[]) => Socket
  Socket.prototype.connect = function (this: Socket, ...args: unknown[]) {
    // `net.connect` passes its arguments on as a list.
    const [options] = (Array.isArray(args[0]) ? args[0] : args) as [{ host?: string; port?: number }]
    if (typeof options === 'object' && options.port !== undefined && !known.has(String(options.port))) {
      options.host = '127.0.0.1'
      options.port = Number(FAULTS_BROKER_PORT)
    }
    return connect.apply(this, args)
  } as typeof Socket.prototype.connect
}

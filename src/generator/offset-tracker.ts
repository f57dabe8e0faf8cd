/**
 * Where a consumer stands in its partitions while it works on many messages of each at once: what may be
 * committed is everything before the first message that is not finished.
 */
export interface PartitionOffset {
  topic: string
  partition: number
  /** The next message to be read, as Kafka counts. */
  offset: string
}

export interface OffsetTracker {
  /** @returns false when this message was taken before */
  take(topic: string, partition: number, offset: string): boolean
  /** The message needs no redelivery. Nothing happens when its partition was given up meanwhile. */
  finish(topic: string, partition: number, offset: string): void
  /** Keeps what is still assigned; forgets the rest, and what was committed. */
  keep(assignment: Readonly<Record<string, readonly number[]>>): void
  /** What may be committed and was not yet. */
  uncommitted(): PartitionOffset[]
  committed(offsets: readonly PartitionOffset[]): void
}

interface Partition {
  topic: string
  partition: number
  /** In the order taken, which is that of the offsets. */
  unfinished: Set<bigint>
  highest: bigint
  committed: bigint | undefined
}

export function createOffsetTracker(): OffsetTracker {
  const partitions = new Map<string, Partition>()

  return {
    take(topic, partition, offset) {
      const at = BigInt(offset)
      const known = partitions.get(`${topic}/${partition}`)
      if (known !== undefined && at <= known.highest) return false
      const position = known ?? { topic, partition, unfinished: new Set(), highest: at, committed: undefined }
      position.highest = at
      position.unfinished.add(at)
      partitions.set(`${topic}/${partition}`, position)
      return true
    },
    finish(topic, partition, offset) {
      partitions.get(`${topic}/${partition}`)?.unfinished.delete(BigInt(offset))
    },
    keep(assignment) {
      for (const [key, position] of partitions) {
        if (assignment[position.topic]?.includes(position.partition)) position.committed = undefined
        else partitions.delete(key)
      }
    },
    uncommitted() {
      return [...partitions.values()].flatMap(({ topic, partition, unfinished, highest, committed }) => {
        const [first] = unfinished
        const next = first ?? highest + 1n
        return next === committed ? [] : [{ topic, partition, offset: String(next) }]
      })
    },
    committed(offsets) {
      for (const { topic, partition, offset } of offsets) {
        const position = partitions.get(`${topic}/${partition}`)
        if (position !== undefined) position.committed = BigInt(offset)
      }
    },
  }
}

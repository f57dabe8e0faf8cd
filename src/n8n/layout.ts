/**
 * Where the nodes of the n8n workflows stand, as n8n’s own “Tidy up” places them, and a note behind each section.
 * After a change of the nodes: import the file, tidy up, and copy the places from what n8n exports.
 */

/** How jobs come. The name of a workflow’s file, too. */
export const SOURCES = ['kafka', 'http'] as const
export type Source = (typeof SOURCES)[number]

type Place = readonly [x: number, y: number]

/** From the answer to `-start` on both workflows are the same. */
const AFTER_START: Record<string, Place> = {
  'Not allowed': [1568, 320],
  'Not wanted': [1568, 512],
  'Report progress': [1568, 128],
  'Ask the model': [1792, 128],
  'Simpler?': [2016, 128],
  'Ask without schema': [2240, 48],
  Answer: [2464, 128],
  Deliver: [2688, 128],
  'Settled?': [2912, 48],
  Wait: [3136, 224],
  Outcome: [3136, 0],
  'Note the outcome': [3360, 0],
  'Failed?': [3584, 0],
  Failed: [3808, 0],
}

export const POSITIONS: Record<Source, Record<string, Place>> = {
  kafka: {
    Concepts: [0, 224],
    Exercises: [0, 416],
    Quizzes: [0, 608],
    Settings: [224, 320],
    'A job?': [448, 320],
    'Not a job': [672, 416],
    Job: [672, 224],
    'Note the job': [896, 224],
    'May it run?': [1120, 224],
    'Its answer': [1344, 208],
    ...AFTER_START,
  },
  http: {
    Jobs: [0, 416],
    Settings: [224, 416],
    'A job?': [448, 416],
    'Not a job': [672, 512],
    Job: [672, 320],
    'Note the job': [896, 320],
    'May it run?': [1120, 320],
    'Its answer': [1344, 304],
    ...AFTER_START,
  },
}

interface Section {
  text: string
  nodes: string[]
}

const FROM: Record<Source, Section> = {
  kafka: {
    text: '## 1. A job comes\n**Settings** has the model, its base URL and the prompts. After a change: publish again.',
    nodes: ['Concepts', 'Exercises', 'Quizzes', 'Settings', 'A job?'],
  },
  http: {
    text: '## 1. A job comes\n**Settings** has the server, the model, its base URL and the prompts. After a change: publish again.',
    nodes: ['Jobs', 'Settings', 'A job?'],
  },
}

const SECTIONS: Section[] = [
  {
    text: '## 2. The job\nThe prompt, the schema, and where to call back.',
    nodes: ['Job', 'Note the job', 'Not a job'],
  },
  {
    text: '## 3. Is it still wanted?\nThe server says so. No answer: go on, the result waits for it.',
    nodes: ['May it run?', 'Its answer', 'Report progress', 'Not allowed', 'Not wanted'],
  },
  {
    text: '## 4. The model writes\nWith the JSON Schema; without it where a server cannot do that. The text is not judged here.',
    nodes: ['Ask the model', 'Simpler?', 'Ask without schema', 'Answer'],
  },
  {
    text: '## 5. Deliver\nThe model’s text, or why there is none: again and again until the server has taken it.',
    nodes: ['Deliver', 'Settled?', 'Wait', 'Outcome'],
  },
  {
    text: '## 6. How it ended\nA failure is red in the list.',
    nodes: ['Note the outcome', 'Failed?', 'Failed'],
  },
]

const NODE_SIZE = 96
/** n8n aligns a note to what it covers: centred, with this much room below. */
const ROOM_BELOW = 64
const ROOM_BESIDE = 48
const ROOM_FOR_TEXT = 160

interface Note {
  text: string
  position: [number, number]
  width: number
  height: number
}

export function notesOf(source: Source): Note[] {
  return [FROM[source], ...SECTIONS].map(({ text, nodes }) => {
    const places = nodes.map((name) => POSITIONS[source][name] ?? [0, 0])
    const xs = places.map(([x]) => x)
    const ys = places.map(([, y]) => y)
    const [left, top] = [Math.min(...xs), Math.min(...ys)]
    return {
      text,
      position: [left - ROOM_BESIDE, top - ROOM_FOR_TEXT],
      width: Math.max(...xs) - left + NODE_SIZE + 2 * ROOM_BESIDE,
      height: Math.max(...ys) - top + NODE_SIZE + ROOM_FOR_TEXT + ROOM_BELOW,
    }
  })
}

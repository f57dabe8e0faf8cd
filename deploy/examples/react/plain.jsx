// 챕터를 만들고 진행 상황을 보는 페이지: socket.io-client를 기본 설정 그대로 쓰고, 방에는 한 번만 들어갑니다.
import { useEffect, useRef, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { io } from 'socket.io-client'
import { Learning } from './learning.tsx'

const SERVER_URL = 'http://localhost:8000'

const KIND_NAMES = { concept: '개념 설명', exercise: '연습 문제', quiz: '퀴즈' }
const STATUS_NAMES = {
  waiting: '대기 중',
  processing: '생성 중',
  completed: '완료',
  retrying: '다시 시도를 기다리는 중',
  failed: '실패',
  cancelled: '취소됨',
}
const WAITING = { concept: 'waiting', exercise: 'waiting', quiz: 'waiting' }

function ChapterPage() {
  const socketRef = useRef(null)
  const [isConnected, setIsConnected] = useState(false)
  const [title, setTitle] = useState('변수와 자료형')
  const [chapterId, setChapterId] = useState(null)
  const [isCreating, setIsCreating] = useState(false)
  const [error, setError] = useState(null)
  const [statuses, setStatuses] = useState(WAITING)
  const [progress, setProgress] = useState(0)
  const [message, setMessage] = useState('')
  const [logs, setLogs] = useState([])
  const [learning, setLearning] = useState(null)
  const [hasFailed, setHasFailed] = useState(false)

  const addLog = (name, data) => {
    const message = data.error ? `${data.message} (${data.error})` : data.message
    setLogs((previous) => [...previous, { name, message }])
  }

  const setStatus = (kind, status) => {
    setStatuses((previous) => ({ ...previous, [kind]: status }))
  }

  const fetchLearning = async (id) => {
    try {
      const response = await fetch(`${SERVER_URL}/v1/chapter/${id}/learning`)
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      setLearning(await response.json())
    } catch (failure) {
      setError(`학습 자료를 불러오지 못했습니다: ${failure.message}`)
    }
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: 처음 한 번만 연결합니다
  useEffect(() => {
    const socket = io(SERVER_URL)
    socketRef.current = socket

    socket.on('connect', () => {
      setIsConnected(true)
    })
    socket.on('disconnect', () => {
      setIsConnected(false)
    })
    socket.on('connection_established', (data) => {
      console.log('서버에 연결되었습니다:', data)
    })
    socket.on('joined_chapter', (data) => {
      console.log('챕터 방에 들어왔습니다:', data)
    })

    socket.on('chapter_processing_started', (data) => {
      addLog('chapter_processing_started', data)
      setMessage(data.message)
    })
    for (const kind of ['concept', 'exercise', 'quiz']) {
      socket.on(`${kind}_processing`, (data) => {
        addLog(`${kind}_processing`, data)
        setStatus(kind, 'processing')
      })
      socket.on(`${kind}_completed`, (data) => {
        addLog(`${kind}_completed`, data)
        setStatus(kind, 'completed')
        setMessage(data.message)
      })
      socket.on(`${kind}_started`, (data) => {
        addLog(`${kind}_started`, data)
        setStatus(kind, 'processing')
      })
      socket.on(`${kind}_timeout`, (data) => {
        addLog(`${kind}_timeout`, data)
      })
      socket.on(`${kind}_retrying`, (data) => {
        addLog(`${kind}_retrying`, data)
        setStatus(kind, 'retrying')
      })
      socket.on(`${kind}_failed`, (data) => {
        addLog(`${kind}_failed`, data)
        setStatus(kind, 'failed')
        setMessage(data.message)
      })
    }
    socket.on('chapter_failed', (data) => {
      addLog('chapter_failed', data)
      setHasFailed(true)
      setMessage(data.message)
      fetchLearning(data.chapter_id)
    })
    socket.on('chapter_retrying', (data) => {
      addLog('chapter_retrying', data)
      setHasFailed(false)
      setMessage(data.message)
      for (const kind of ['concept', 'exercise', 'quiz'])
        setStatuses((previous) =>
          previous[kind] === 'failed' ? { ...previous, [kind]: 'processing' } : previous,
        )
    })
    socket.on('chapter_cancelled', (data) => {
      addLog('chapter_cancelled', data)
      setMessage(data.message)
    })
    socket.on('join_failed', (data) => {
      setError(`챕터 방에 들어가지 못했습니다: ${data.message}`)
    })
    socket.on('progress_update', (data) => {
      setProgress(data.progress)
      setMessage(data.message)
    })
    socket.on('all_completed', (data) => {
      addLog('all_completed', data)
      setProgress(100)
      setHasFailed(false)
      setMessage(data.message)
      fetchLearning(data.chapter_id)
    })

    return () => {
      socket.disconnect()
    }
  }, [])

  const createChapter = async () => {
    setIsCreating(true)
    setError(null)
    try {
      const response = await fetch(`${SERVER_URL}/v1/chapter/`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ course_id: 1, title, description: 'Python 기초', owner_id: 1 }),
      })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      const data = await response.json()
      setChapterId(data.chapter_id)
      setStatuses(WAITING)
      setProgress(0)
      setLogs([])
      setLearning(null)
      setHasFailed(false)
      socketRef.current.emit('join_chapter', { chapter_id: data.chapter_id })
    } catch (failure) {
      setError(`챕터를 만들지 못했습니다: ${failure.message}`)
    } finally {
      setIsCreating(false)
    }
  }

  const retryChapter = async () => {
    setError(null)
    try {
      const response = await fetch(`${SERVER_URL}/v1/chapter/${chapterId}/retry`, { method: 'POST' })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
    } catch (failure) {
      setError(`다시 시도하지 못했습니다: ${failure.message}`)
    }
  }

  return (
    <main>
      <h1>챕터 만들기</h1>
      <p>{isConnected ? '서버에 연결됨' : '연결 중…'}</p>
      <input aria-label="제목" value={title} onChange={(event) => setTitle(event.target.value)} />
      <button type="button" onClick={createChapter} disabled={isCreating}>
        챕터 생성
      </button>
      {error && <p role="alert">{error}</p>}
      {chapterId && (
        <section>
          <h2>
            챕터 {chapterId}: {message}
          </h2>
          <progress aria-label="진행률" value={progress} max="100" /> {Math.round(progress)}%
          <ul className="kinds">
            {Object.entries(KIND_NAMES).map(([kind, name]) => (
              <li key={kind}>
                {name}: {STATUS_NAMES[statuses[kind]]}
              </li>
            ))}
          </ul>
          {hasFailed && (
            <p role="alert">
              생성하지 못한 부분이 있습니다.{' '}
              <button type="button" onClick={retryChapter}>
                다시 시도
              </button>
            </p>
          )}
          <ol className="log">
            {logs.map((log, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: 뒤에 더해지기만 하는 목록입니다
              <li key={index} data-event={log.name}>
                {log.message}
              </li>
            ))}
          </ol>
          {learning && <Learning {...learning} />}
        </section>
      )}
    </main>
  )
}

createRoot(document.getElementById('root')).render(<ChapterPage />)

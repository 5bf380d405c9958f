// A service in plain Node.js behind Queue: it asks the sidecar about every token, over one kept connection, and passes
// the sidecar's refusals on. No dependency.
//
//   QUEUE_SIDECAR_URL=http://127.0.0.1:4140 PORT=4170 node service.mjs

import http from 'node:http'

const sidecar = new URL(process.env.QUEUE_SIDECAR_URL ?? 'http://127.0.0.1:4140')
const port = Number(process.env.PORT ?? '4170')
if (sidecar.protocol !== 'http:' || !['127.0.0.1', 'localhost', '[::1]'].includes(sidecar.hostname)) {
  fail('QUEUE_SIDECAR_URL: expected an http URL of the loopback')
}
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  fail('PORT: expected a port')
}

// Connections are kept, so that a question costs no handshake; the sidecar closes idle ones after 75 s.
const agent = new http.Agent({ keepAlive: true, maxSockets: 32, timeout: 60_000 })
const PATIENCE_MS = 6_000
const MAX_ANSWER = 256 * 1024

/** What the sidecar says of a request: `{status, headers, body}`. Rejects when it says nothing. */
function ask(authorization, require) {
  const body = JSON.stringify({ require })
  // The client's field lines one by one: joined by a comma, two tokens would look like a bad one.
  const headers = ['Host', sidecar.host, 'Content-Type', 'application/json', 'Content-Length', `${Buffer.byteLength(body)}`]
  for (const value of authorization) headers.push('Authorization', value)
  return new Promise((resolve, reject) => {
    const question = http.request(new URL('/v1/validate', sidecar), { method: 'POST', agent, headers }, (answer) => {
      const parts = []
      let size = 0
      answer.on('data', (part) => {
        size += part.length
        if (size > MAX_ANSWER) answer.destroy(new Error('the answer is too long'))
        parts.push(part)
      })
      answer.on('error', reject)
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }))
    })
    // From the first byte to the last, not only between two of them.
    const patience = setTimeout(() => question.destroy(new Error('the sidecar takes too long')), PATIENCE_MS)
    question.on('close', () => clearTimeout(patience))
    question.on('error', reject)
    question.end(body)
  })
}

/** Calls `handle` with the session, or answers in the sidecar's words. */
async function withSession(request, response, require, handle) {
  let verdict
  try {
    verdict = await ask(request.headersDistinct.authorization ?? [], require)
  } catch {
    // Nobody judged the token: that is no verdict, and no way in.
    return problem(response, 503, 'sidecar_unavailable', 'The token could not be judged.', { 'Retry-After': '1' })
  }
  if (verdict.status === 200) {
    return handle(JSON.parse(verdict.body))
  }
  // 400, 401 and 403 are the caller's, with the challenge that says why; anything else is ours.
  if ([400, 401, 403].includes(verdict.status)) {
    const headers = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' }
    const challenge = verdict.headers['www-authenticate']
    if (challenge !== undefined) headers['WWW-Authenticate'] = challenge
    response.writeHead(verdict.status, headers).end(verdict.body)
    return
  }
  const code = verdict.status === 503 ? codeOf(verdict.body) : 'sidecar_failed'
  problem(response, 503, code, 'The token could not be judged.', { 'Retry-After': verdict.headers['retry-after'] ?? '1' })
}

function codeOf(body) {
  try {
    return String(JSON.parse(body).code)
  } catch {
    return 'sidecar_failed'
  }
}

function problem(response, status, code, title, headers = {}) {
  const all = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store', ...headers }
  response.writeHead(status, all).end(JSON.stringify({ type: `urn:queue:problem:${code}`, title, status, code }))
}

function json(response, value) {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(value))
}

// An exact method and path, and what it wants of a session; `null` wants none.
const routes = new Map([
  ['GET /me', { require: {}, answer: (session) => ({ subject: session.subject, roles: session.roles }) }],
  ['GET /admin', { require: { roles: ['admin'] }, answer: (session) => ({ admin: session.subject }) }],
  ['GET /livez', { require: null, answer: () => ({ status: 'up' }) }],
])

const server = http.createServer((request, response) => {
  const path = request.url.split('?', 1)[0]
  const route = routes.get(`${request.method} ${path}`)
  if (route === undefined) return problem(response, 404, 'route_not_found', 'There is nothing here.')
  if (route.require === null) return json(response, route.answer())
  withSession(request, response, route.require, (session) => json(response, route.answer(session))).catch(() => {
    if (response.headersSent) return response.destroy()
    problem(response, 503, 'internal_error', 'The service failed.')
  })
})

server.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
process.on('SIGTERM', () => {
  agent.destroy()
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})

function fail(message) {
  console.error(`node_service: ${message}`)
  process.exit(64)
}

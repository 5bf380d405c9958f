// Times one validation by each peer in Node.js, on command; the protocol is that of
// tests/bench/child.py: the fixture in as one line, the subjects out, then `ID CALLS` → nanoseconds.
import { createPublicKey, verify } from 'node:crypto'
import { createInterface } from 'node:readline'
import { createVerifier } from 'fast-jwt'
import { importJWK, jwtVerify } from 'jose'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const { issuer, audience, token, jwks } = JSON.parse((await lines.next()).value)
const [jwk] = jwks.keys

const joseKey = await importJWK(jwk, 'RS256')
const joseRules = { issuer, audience, typ: 'at+jwt', algorithms: ['RS256'] }
const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
const fastRules = {
  key: publicKey.export({ type: 'spki', format: 'pem' }),
  algorithms: ['RS256'],
  allowedIss: issuer,
  allowedAud: audience,
  checkTyp: 'at+jwt',
}
const fast = createVerifier(fastRules)
const fastRemembering = createVerifier({ ...fastRules, cache: true })
const [signingInput, signature] = [token.slice(0, token.lastIndexOf('.')), token.split('.')[2]]
const [message, signed] = [Buffer.from(signingInput), Buffer.from(signature, 'base64url')]

// Each makes `calls` calls and throws unless all accept.
const repeat = (call) => (calls) => {
  for (let i = 0; i < calls; i += 1) call()
}
const bare = repeat(() => {
  if (!verify('RSA-SHA256', message, publicKey, signed)) throw new Error('refused')
})
const subjects = {
  jose: ['jose, one at a time', async (calls) => {
    for (let i = 0; i < calls; i += 1) await jwtVerify(token, joseKey, joseRules)
  }],
  jose_16: ['jose, 16 at a time', async (calls) => {
    let left = calls
    const worker = async () => {
      while (left-- > 0) await jwtVerify(token, joseKey, joseRules)
    }
    await Promise.all(Array.from({ length: 16 }, worker))
  }],
  fast_jwt: ['fast-jwt', repeat(() => fast(token))],
  fast_jwt_cache: ['fast-jwt, its cache on', repeat(() => fastRemembering(token))],
  node_bare: ['node:crypto, bare', bare],
}

const names = Object.entries(subjects).map(([id, [name]]) => [id, name])
console.log(JSON.stringify({ subjects: names }))
for await (const line of lines) {
  const [id, calls] = line.split(' ')
  const start = process.hrtime.bigint()
  await subjects[id][1](Number(calls))
  console.log(Number(process.hrtime.bigint() - start) / Number(calls))
}

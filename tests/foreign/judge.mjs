// Verifies the token on standard input with jose: judge.mjs JWKS_URI ISSUER AUDIENCE.
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [jwksUri, issuer, audience] = process.argv.slice(2)
const token = readFileSync(0, 'utf8').trim()
const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksUri)), {
  issuer,
  audience,
  typ: 'at+jwt',
  algorithms: ['RS256'],
  requiredClaims: ['sub', 'client_id', 'jti', 'sid'],
})
console.log(JSON.stringify(payload))

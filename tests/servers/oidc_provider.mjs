// oidc-provider on a free port of loopback. It ends with its standard input.
//
// Beside the server there are three paths, for what else a test needs: an API that takes the tokens of
// clients, a user who signs in, and a service that signs assertions.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// The folder of `node_modules` is elsewhere, and an `import` would not search it.
const require = createRequire(`${process.env.TOWER_BEARER_SERVERS}/`);
const { Provider } = await import(require.resolve('oidc-provider'));
const jose = await import(require.resolve('jose'));

process.stdin.resume().on('end', () => process.exit());

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const key = await jose.generateKeyPair('ES256');
const publicKey = { ...(await jose.exportJWK(key.publicKey)), alg: 'ES256', use: 'sig', kid: 'k' };
const service = {
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: 'read write',
};
const secret = process.env.CLIENT_SECRET;

const provider = new Provider(issuer, {
  clients: [
    { ...service, client_id: 'a:b', client_secret: secret, token_endpoint_auth_method: 'client_secret_basic' },
    { ...service, client_id: 'post', client_secret: secret, token_endpoint_auth_method: 'client_secret_post' },
    { ...service, client_id: 'key', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicKey] } },
    {
      client_id: 'app',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example.com/'],
    },
  ],
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  scopes: ['openid', 'offline_access', 'read', 'write'],
  ttl: { ClientCredentials: 777, AccessToken: 888, RefreshToken: 86400 },
  features: {
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'read write',
        audience: `audience of ${resource}`,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

// What a user's sign-in in a browser ends with.
async function signIn() {
  const [accountId, clientId, scope] = ['user', 'app', 'openid offline_access'];
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const client = await provider.Client.find(clientId);
  const gty = 'authorization_code';
  return new provider.RefreshToken({ accountId, client, grantId, gty, scope }).save();
}

// A client assertion (RFC 7523), as a service that holds the key makes it.
function sign() {
  return new jose.SignJWT({ jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuer('key')
    .setSubject('key')
    .setAudience(issuer)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(key.privateKey);
}

async function api(request, response) {
  const token = request.headers.authorization?.replace(/^Bearer /, '');
  const found = token && (await provider.ClientCredentials.find(token));
  if (!found) {
    response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' });
  }
  return found ? found.scope : '';
}

const own = { '/api': api, '/sign-in': signIn, '/sign': sign };
const callback = provider.callback();
server.on('request', async (request, response) => {
  const answer = own[request.url];
  return answer ? response.end(await answer(request, response)) : callback(request, response);
});
console.log(`listening on ${issuer}`);

-- Asks queue-sidecar about a request and says in variables of the transaction what it answered.
--
-- An error in here does not stop a request: HAProxy logs it and goes on. So the last line alone says
-- "allow", and haproxy.cfg refuses whatever has not heard it.

-- The argument of the rule is the query: "?role=admin", or "?" for none.
local ASK = "http://127.0.0.1:4140/v1/auth"
local PATIENCE_MS = 6000
local IDENTITY = { "subject", "session", "tenant", "roles", "scope", "client" }

local function first(headers, name)
    local values = headers and headers[name]
    return values and values[0] or ""
end

core.register_action("queue_auth", { "http-req" }, function(txn, requirement)
    -- Every Authorization header there is: two are refused, not chosen between.
    local authorization = {}
    local sent = txn.http:req_get_headers()["authorization"]
    local at = 0
    while sent and sent[at] do
        authorization[at + 1] = sent[at]
        at = at + 1
    end

    local answer = core.httpclient():get({
        url = ASK .. requirement,
        headers = at > 0 and { ["authorization"] = authorization } or {},
        timeout = PATIENCE_MS,
    })
    if not answer then
        return
    end
    if answer.status ~= 200 then
        if answer.status == 400 or answer.status == 401 or answer.status == 403 then
            txn:set_var("txn.queue_status", answer.status)
            txn:set_var("txn.queue_challenge", first(answer.headers, "www-authenticate"))
            txn:set_var("txn.queue_problem", answer.body or "")
        end
        return
    end
    for _, name in ipairs(IDENTITY) do
        txn:set_var("txn.queue_" .. name, first(answer.headers, "x-queue-" .. name))
    end
    txn:set_var("txn.queue_decision", "allow")
end, 1)

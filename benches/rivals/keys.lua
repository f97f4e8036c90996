-- wrk's script: one request per key, made beforehand, sent in turn; the outcome as JSON to the file named by BENCH_OUT.
local requests, count, turn = {}, 0, 0

function init(_)
   for key in io.lines(os.getenv("BENCH_KEYS")) do
      count = count + 1
      requests[count] = wrk.format("GET", "/v1/orders/42", {
         ["Host"] = "api.example.com",
         ["User-Agent"] = "bench/1.0",
         ["Accept"] = "*/*",
         ["X-API-Key"] = key,
      })
   end
end

function request()
   turn = turn % count + 1
   return requests[turn]
end

function done(summary, latency, _)
   local e = summary.errors
   local out = assert(io.open(os.getenv("BENCH_OUT"), "w"))
   out:write(string.format(
      '{"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"max":%d}\n',
      summary.requests, summary.duration / 1e6, e.status,
      e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
   out:close()
end

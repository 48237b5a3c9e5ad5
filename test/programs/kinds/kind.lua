-- SPDX-License-Identifier: BSD-3-Clause
-- LuaJIT: traces compiled at run time, an allocator of its own in the lowest addresses, foreign calls, coroutines.  As worker.c otherwise.
local ffi = require('ffi')
ffi.cdef[[int usleep(unsigned);]]
local out = io.open('out.0', 'w')
local state, kept = 1, {}
local next_number = coroutine.wrap(function() local n = 0 while true do n = n + 1 coroutine.yield(n) end end)
for round = 1, 100 do
  for i = 1, 1e5 do state = (state * 31 + i) % 1000003 end
  for i = 1, 3000 do kept[(round * 7 + i) % 9000 + 1] = {tostring(i) .. round, i} end
  local caught = not pcall(function() return nil + 1 end)
  out:write(round, ' ', state, ' ', next_number(), ' ', tostring(caught), '\n')
  out:flush()
end
local function finished() local file = io.open('finish') if file then file:close() end return file ~= nil end
while not finished() do ffi.C.usleep(2000) end

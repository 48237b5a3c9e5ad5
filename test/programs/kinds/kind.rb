# SPDX-License-Identifier: BSD-3-Clause
# Ruby: threads that a timer takes turns, fibers with stacks of their own, a compacting collector.  As worker.c otherwise.
out = File.open('out.0', 'w')
questions, answers = Queue.new, Queue.new
worker = Thread.new do
  while (state = questions.pop)
    8000.times { |i| state = (state * 31 + i) % 1000003 }
    answers << state
  end
end
numbers = Fiber.new { n = 0; loop { Fiber.yield(n += 1) } }
state, kept = 1, {}
(1..100).each do |round|
  questions << state
  8000.times { |i| state = (state * 37 + i) % 1000033 }
  state = (state + answers.pop) % 1000033
  1000.times { |i| kept[(round * 7 + i) % 5000] = "x#{i}" * 10 }
  GC.compact if round % 20 == 0
  caught = begin; nil.nothing; rescue NoMethodError; true; end
  out.puts "#{round} #{state} #{kept.size} #{caught} #{numbers.resume} #{Process.pid == $$}"
  out.flush
end
questions << nil
worker.join
sleep 0.002 until File.exist?('finish')

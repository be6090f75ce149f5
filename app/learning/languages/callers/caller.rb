require "json"
require "stringio"
job = JSON.parse(File.read("job.json", encoding: "UTF-8"))
source = File.read("solution.rb", encoding: "UTF-8")
channel = IO.for_fd(STDOUT.fcntl(0), "w") rescue channel = STDOUT.dup
channel.sync = true
say = lambda { |message| channel.write(job["nonce"] + JSON.generate(message) + "\n") }
failure = lambda do |error|
  lines = source.lines
  trace = (error.backtrace || []).grep(/\Asolution\.rb:/).first(5).map do |frame|
    number = frame[/:(\d+)/, 1].to_i
    name = frame[/[`'](?:block .*in )?(?:Object#)?(\w+[?!]?)'/, 1]
    "line #{number}#{name ? " in #{name}" : ""}: #{(lines[number - 1] || "").strip}"
  end
  { type: error.class.name, message: error.message.to_s[0, 500], trace: trace }
end
plain = lambda do |value|
  case value
  when nil, true, false, String, Integer then value
  when Float
    raise TypeError, "a result of #{value} cannot be compared" unless value.finite?
    value
  when Symbol then value.to_s
  when Array then value.map { |item| plain.call(item) }
  when Hash then value.to_h { |key, item| [key.to_s, plain.call(item)] }
  else raise TypeError, "a result of type #{value.class} cannot be compared"
  end
end
begin
  $stdout = printed = StringIO.new
  eval(source, TOPLEVEL_BINDING, "solution.rb", 1)
  raise NoMethodError, "there is no method named #{job["function"]}" unless respond_to?(job["function"], true)
rescue Exception => error
  say.call({ load: failure.call(error), stdout: printed.string[0, 4000] })
  exit!(0)
end
job["inputs"].each_with_index do |arguments, number|
  $stdout = printed = StringIO.new
  answer = { case: number }
  say.call({ begin: number })
  started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  begin
    answer[:value] = plain.call(send(job["function"], *arguments))
  rescue Exception => error
    answer[:error] = failure.call(error)
  end
  answer[:ms] = ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1000).round(2)
  answer[:stdout] = printed.string[0, 4000]
  say.call(answer)
end
exit!(0)

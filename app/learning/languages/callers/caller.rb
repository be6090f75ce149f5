require "json"
require "set"
require "stringio"

# The variables here are those of a method, so that a solution's own cannot take their places.
def self.__call_solution
  job = JSON.parse(File.read("job.json", encoding: "UTF-8"))
  source = File.read("solution.rb", encoding: "UTF-8")
  channel = IO.for_fd(STDOUT.fcntl(0), "w") rescue channel = STDOUT.dup
  channel.sync = true
  text = lambda { |said| said.to_s.dup.force_encoding("UTF-8").scrub }
  say = lambda { |message| channel.write(job["nonce"] + JSON.generate(message) + "\n") }
  failure = lambda do |error|
    lines = source.lines
    places = (error.backtrace || []).grep(%r{(?:\A|/)solution\.rb:}).uniq { |frame| frame[/:(\d+)/, 1] }
    trace = places.first(5).map do |frame|
      number = frame[/:(\d+)/, 1].to_i
      "line #{number}: #{(lines[number - 1] || "").strip}"
    end
    { type: error.class.name, message: text.call(error.message)[0, 500], trace: trace }
  end
  plain = lambda do |value|
    case value
    when nil, true, false, Integer then value
    when String
      raise TypeError, "the text that came back is not valid UTF-8" unless value.dup.force_encoding("UTF-8").valid_encoding?
      value.dup.force_encoding("UTF-8")
    when Float
      raise TypeError, "a result of #{value} cannot be compared" unless value.finite?
      value
    when Symbol then value.to_s
    when Array then value.map { |item| plain.call(item) }
    when Hash then value.to_h { |key, item| [key.to_s, plain.call(item)] }
    when Enumerable then raise TypeError, "a result of type #{value.class} cannot be compared; call .to_a on it"
    else raise TypeError, "a result of type #{value.class} cannot be compared"
    end
  end
  printed = StringIO.new
  Thread.new do # ends the program a moment before it is ended, to tell what was printed so far
    sleep job["seconds"]
    line = "\n" + job["nonce"] + JSON.generate({ printed: text.call(printed.string)[0, 4000] }) + "\n"
    channel.syswrite(line)
    exit!(job["timeoutCode"])
  end
  name = job["function"]
  begin
    $stdout = printed
    known = Object.private_instance_methods(false) | Object.instance_methods(false)
    load "./solution.rb"
    unless respond_to?(name, true)
      found = (Object.private_instance_methods(false) | Object.instance_methods(false)) - known
      others = found.empty? ? "no method stands at the top level" : "there is #{found.sort.join(", ")}"
      raise NoMethodError, "there is no method named #{name}; #{others}"
    end
  rescue Exception => error
    say.call({ load: failure.call(error), stdout: text.call(printed.string)[0, 4000] })
    exit!(0)
  end
  job["inputs"].each_with_index do |arguments, number|
    $stdout = printed = StringIO.new
    answer = { case: number }
    say.call({ begin: number })
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    begin
      answer[:value] = plain.call(__send__(name, *arguments))
    rescue Exception => error
      answer[:error] = failure.call(error)
    end
    answer[:ms] = ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1000).round(2)
    answer[:stdout] = text.call(printed.string)[0, 4000]
    say.call(answer)
  end
  exit!(0)
end
__call_solution

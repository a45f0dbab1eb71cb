# frozen_string_literal: true

# The runtime of a Ruby environment: takes events, runs the handler, posts what becomes of it, and frames what is
# logged. AWS's own client is a gem; this one keeps its contract (shapes, words, log format) and needs nothing but Ruby.

require 'json'
require 'socket'

RUNTIME_VERSION_PATH = '/2018-06-01/runtime'

# One connection to the Runtime API, kept for as long as the environment lives.
class RuntimeApi
  Answer = Struct.new(:status, :headers, :body)

  def initialize(address)
    @address = address
    host, port = address.split(':')
    @socket = TCPSocket.new(host, port.to_i)
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
  end

  def next_event
    answer = call('GET', '/invocation/next')
    raise "Failed to get next invocation: #{answer.status}" unless answer.status == 200

    answer
  end

  def respond(id, body, type) = call('POST', "/invocation/#{id}/response", body, 'Content-Type' => type)

  def fail(path, error)
    call('POST', path, error.body, 'Content-Type' => 'application/vnd.aws.lambda.error+json',
                                   'Lambda-Runtime-Function-Error-Type' => error.type)
  end

  private

  def call(method, path, body = '', headers = {})
    lines = ["#{method} #{RUNTIME_VERSION_PATH}#{path} HTTP/1.1", "Host: #{@address}",
             "User-Agent: aws-lambda-ruby/#{RUBY_VERSION}", "Content-Length: #{body.bytesize}"]
    headers.each { |name, value| lines << "#{name}: #{value.gsub(/[^\x20-\x7e]/, '?')}" }
    @socket.write("#{lines.join("\r\n")}\r\n\r\n".b, body.b)
    read
  end

  def read
    status = line[/\A\S+ (\d+)/, 1].to_i
    headers = {}
    until (text = line).empty?
      name, value = text.split(':', 2)
      headers[name.downcase] = value.strip
    end
    Answer.new(status, headers, @socket.read(headers.fetch('content-length', 0).to_i).force_encoding('UTF-8'))
  end

  def line
    text = @socket.gets or raise EOFError, 'the Runtime API has closed the connection'
    text.chomp.force_encoding('UTF-8')
  end
end

# What the caller gets of an exception.
class Failure
  attr_reader :type

  def initialize(exception, kind)
    @type = "#{kind}<#{exception.class}>"
    @message = exception.message.dup.force_encoding('UTF-8').scrub
    own = File.dirname(__FILE__)
    @trace = (exception.backtrace || []).reject { |frame| frame.start_with?(own) || frame.include?('<internal:') }
  end

  def content = { errorMessage: @message, errorType: @type, stackTrace: @trace }
  def body = JSON.generate(content)
end

# What the handler is told besides the event.
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :deadline_ms, :identity, :client_context, :tenant_id,
              :log_group_name, :log_stream_name, :function_name, :memory_limit_in_mb, :function_version

  def initialize(headers)
    @aws_request_id = headers['lambda-runtime-aws-request-id']
    @deadline_ms = headers['lambda-runtime-deadline-ms'].to_i
    @invoked_function_arn = headers['lambda-runtime-invoked-function-arn']
    @tenant_id = headers['lambda-runtime-aws-tenant-id']
    @identity = parsed(headers['lambda-runtime-cognito-identity'])
    @client_context = parsed(headers['lambda-runtime-client-context'])
    @log_group_name = ENV.fetch('AWS_LAMBDA_LOG_GROUP_NAME', nil)
    @log_stream_name = ENV.fetch('AWS_LAMBDA_LOG_STREAM_NAME', nil)
    @function_name = ENV.fetch('AWS_LAMBDA_FUNCTION_NAME', nil)
    @memory_limit_in_mb = ENV.fetch('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', nil)
    @function_version = ENV.fetch('AWS_LAMBDA_FUNCTION_VERSION', nil)
  end

  def get_remaining_time_in_millis
    [@deadline_ms - Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), 0].max
  end

  private

  def parsed(text) = text && JSON.parse(text)
end

# The descriptor that keeps a message together, whatever lines it has: type, length and time before it.
module Telemetry
  TEXT = 0xa55a0003
  LEVELS = { 'DEBUG' => 0x08, 'INFO' => 0x0c, 'WARN' => 0x10, 'ERROR' => 0x14, 'FATAL' => 0x18 }.freeze
  JSON_TYPE = 0xa55a0002

  class << self
    attr_reader :request_id

    def open(number)
      @out = IO.for_fd(number, mode: 'wb', autoclose: false)
      @out.sync = true
    end

    def open? = !@out.nil?
    def json? = ENV['AWS_LAMBDA_LOG_FORMAT'] == 'JSON'

    def begin(request_id)
      @request_id = request_id
    end

    def write(message, level = nil, json: false)
      message = message.to_s.b
      micros = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
      type = (json ? JSON_TYPE : TEXT) | LEVELS.fetch(level.to_s, 0)
      @out.write([type, message.bytesize, micros].pack('L>L>Q>') + message)
    end
  end
end

# Where Logger writes to the streams of the process, its messages are framed and carry the invocation's id.
module FramedLogger
  Device = Struct.new(:level) do
    def write(message)
      Telemetry.write(message, level, json: Telemetry.json?)
      message.bytesize
    end

    def close; end
    def reopen(*) = self
  end

  def initialize(logdev = nil, *arguments, **options)
    framed = [$stdout, $stderr, STDOUT, STDERR].include?(logdev)
    device = framed ? Device.new : logdev
    options[:level] ||= ENV['AWS_LAMBDA_LOG_LEVEL'] if framed && Telemetry.json? && ENV['AWS_LAMBDA_LOG_LEVEL']
    super(device, *arguments, **options)
    return unless framed

    @framed = device
    self.formatter ||= method(:framed_format)
  end

  def add(severity, *arguments, &block)
    @framed&.level = format_severity(severity || ::Logger::UNKNOWN)
    super
  end

  private

  def framed_format(severity, time, program, message)
    return framed_json(severity, time, message) if Telemetry.json?

    format("%<initial>s, [%<time>s #%<process>d] %<severity>5s %<id>s -- %<program>s: %<message>s\n",
           initial: severity[0], time: time.strftime('%Y-%m-%dT%H:%M:%S.%6N'), process: Process.pid,
           severity: severity, id: Telemetry.request_id, program: program, message: said(message))
  end

  def framed_json(severity, time, message)
    line = { timestamp: time.utc.strftime('%Y-%m-%dT%H:%M:%S.%LZ'), level: severity,
             requestId: Telemetry.request_id, message: message.is_a?(Exception) ? message.message : message }
    if message.is_a?(Exception)
      line.merge!(errorType: message.class.to_s, errorMessage: message.message, stackTrace: message.backtrace || [])
    end
    JSON.generate(line.compact)
  end

  def said(message)
    case message
    when ::String then message
    when ::Exception then "#{message.message} (#{message.class})\n#{message.backtrace&.join("\n")}"
    else message.inspect
    end
  end
end

# `puts` keeps what it is given together.
module FramedPuts
  def puts(*arguments)
    return super unless equal?(STDOUT) || !is_a?(IO)

    Telemetry.write(arguments.empty? ? "\n" : arguments.flatten.map { |part| "#{part.to_s.chomp}\n" }.join)
    nil
  end
end

# FILE.METHOD or FILE.CLASS.METHOD.
class Handler
  def initialize(text)
    @file, *rest = text.split('.')
    @method = rest.pop
    @class = rest.first
    return if @file && @method && rest.size < 2

    raise ArgumentError, "Invalid handler #{text}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where " \
                         'FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                         'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be ' \
                         'a class-level method.'
  end

  def load
    require "#{Dir.pwd}/#{@file}"
    @receiver = @class ? Object.const_get(@class) : TOPLEVEL_BINDING.receiver
    return if @receiver.respond_to?(@method, true)

    raise NameError, "undefined method '#{@method}' for #{@class || 'main:Object'}"
  end

  def call(event, context) = @receiver.send(@method, event: event, context: context)
end

class Runtime
  def initialize
    @api = RuntimeApi.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    $stdout.sync = true
    $stderr.sync = true
    descriptor = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD')
    frame(descriptor.to_i) if descriptor
  end

  def run
    load
    loop { serve(@api.next_event) }
  end

  private

  def frame(descriptor)
    Telemetry.open(descriptor)
    require 'logger'
    Logger.prepend(FramedLogger)
    $stdout.singleton_class.prepend(FramedPuts)
    Kernel.module_eval { def puts(*arguments) = $stdout.puts(*arguments) }
  end

  def load
    @handler = Handler.new(ENV.fetch('_HANDLER'))
    @handler.load
  rescue Exception => e # rubocop:disable Lint/RescueException
    raise if e.is_a?(SystemExit)

    failure = Failure.new(e, 'Init')
    log('Init error when loading handler', failure)
    @api.fail('/init/error', failure)
    exit!(1)
  end

  def serve(answer)
    context = LambdaContext.new(answer.headers)
    Telemetry.begin(context.aws_request_id)
    trace = answer.headers['lambda-runtime-trace-id']
    ENV['_X_AMZN_TRACE_ID'] = trace
    handle(answer.body, context)
  end

  def handle(body, context)
    id = context.aws_request_id
    @api.respond(id, *marshalled(@handler.call(JSON.parse(body), context)))
  rescue SystemExit
    raise
  rescue StandardError => e
    report(id, e)
  rescue Exception => e # rubocop:disable Lint/RescueException
    report(id, e)
    exit!(255)
  end

  def report(id, exception)
    failure = Failure.new(exception, 'Function')
    log('Error raised from handler method', failure)
    @api.fail("/invocation/#{id}/error", failure)
  end

  def marshalled(answer)
    return [answer.read, 'application/unknown'] if answer.respond_to?(:read)

    [JSON.generate(answer), 'application/json']
  end

  def log(words, failure)
    text = "#{words}\n#{JSON.pretty_generate(failure.content)}\n"
    return $stderr.write(text) unless Telemetry.open?
    return Telemetry.write(text, 'ERROR') unless Telemetry.json?

    line = { timestamp: Time.now.utc.strftime('%Y-%m-%dT%H:%M:%S.%LZ'), level: 'ERROR', message: words,
             requestId: Telemetry.request_id, **failure.content }
    Telemetry.write(JSON.generate(line.compact), 'ERROR', json: true)
  end
end

# An encoding of the machine must not decide what an event is read as.
Encoding.default_external = Encoding::UTF_8
$LOAD_PATH.unshift(Dir.pwd)
Runtime.new.run

require 'logger'

raise TypeError, 'no init' if ENV['INIT'] == 'fail'

LOGGER = Logger.new($stdout)

def context_of(context)
  client = context.client_context
  {
    request_id: context.aws_request_id, name: context.function_name, version: context.function_version,
    arn: context.invoked_function_arn, memory: context.memory_limit_in_mb.to_i, group: context.log_group_name,
    stream: context.log_stream_name, in_time: context.get_remaining_time_in_millis.between?(1, 10_000),
    client: client && { custom: client['custom'] }
  }
end

def count
  File.write('/tmp/count', 'x', mode: 'a')
  File.size('/tmp/count')
end

def layer
  require 'from_a_layer'
  FROM_A_LAYER
end

def log(text)
  LOGGER.info(text)
  nil
end

def handler(event:, context:)
  case event['do']
  when 'echo' then event['value']
  when 'environment' then event['names'].to_h { |name| [name, ENV[name]] }
  when 'context' then context_of(context)
  when 'fail' then raise KeyError, 'boom'
  when 'exit' then exit!(7)
  when 'sleep' then sleep 60
  when 'log' then log(event['text'])
  when 'count' then count
  when 'layer' then layer
  end
end

module Farm
  class Cow
    def self.handler(event:, context:)
      puts "one\ntwo"
      "#{event['name']} of #{context.function_name}"
    end
  end
end

package example;

import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class App implements RequestHandler<Map<String, Object>, Object> {
    static {
        if ("fail".equals(System.getenv("INIT"))) throw new IllegalStateException("no init");
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        switch ((String) event.get("do")) {
            case "echo":
                return event.get("value");
            case "environment":
                Map<String, Object> found = new LinkedHashMap<>();
                for (Object name : (List<?>) event.get("names")) found.put((String) name, System.getenv((String) name));
                return found;
            case "context":
                return contextOf(context);
            case "fail":
                throw new IllegalArgumentException("boom");
            case "exit":
                Runtime.getRuntime().halt(7);
            case "sleep":
                try {
                    Thread.sleep(60_000);
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
                return null;
            case "log":
                context.getLogger().log((String) event.get("text"));
                return null;
            case "count":
                try {
                    Path file = Path.of("/tmp/count");
                    Files.writeString(file, "x", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                    return Files.size(file);
                } catch (IOException error) {
                    throw new IllegalStateException(error);
                }
            case "layer":
                try {
                    return Class.forName("layered.Value").getField("VALUE").get(null);
                } catch (ReflectiveOperationException error) {
                    throw new IllegalStateException(error);
                }
            default:
                return null;
        }
    }

    private static Map<String, Object> contextOf(Context context) {
        Map<String, Object> found = new LinkedHashMap<>();
        int left = context.getRemainingTimeInMillis();
        ClientContext client = context.getClientContext();
        found.put("request_id", context.getAwsRequestId());
        found.put("name", context.getFunctionName());
        found.put("version", context.getFunctionVersion());
        found.put("arn", context.getInvokedFunctionArn());
        found.put("memory", context.getMemoryLimitInMB());
        found.put("group", context.getLogGroupName());
        found.put("stream", context.getLogStreamName());
        found.put("in_time", left > 0 && left <= 10_000);
        found.put("client", client == null ? null : Map.of("custom", client.getCustom()));
        return found;
    }

    public static class Cow {
        public String name;
        public int legs;
    }

    /** Typed in and out. */
    public Cow calf(Cow cow) {
        Cow calf = new Cow();
        calf.name = cow.name + "'s calf";
        calf.legs = cow.legs;
        return calf;
    }

    /** Bytes in and out. */
    public static class Backwards implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write(new StringBuilder(new String(in.readAllBytes())).reverse().toString().getBytes());
        }
    }
}

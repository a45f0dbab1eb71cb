import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.List;

/** A server of MongoDB's protocol that keeps everything in memory, with an oplog, so that changes can be watched: PORT. */
public class Mongo {
    /** The oldest that today's clients speak with; the server says less of itself than it can. */
    static final class Version implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    }

    /** Says in every answer when it was, as members of replica sets do. */
    static final class Member extends MemoryBackend {
        @Override
        public Document handleMessage(MongoMessage message) {
            Document answer = super.handleMessage(message);
            answer.put("operationTime", new BsonTimestamp(Instant.now(), 0));
            return answer;
        }
    }

    public static void main(String[] arguments) throws Exception {
        MemoryBackend backend = new Member();
        backend.version(new Version());
        MongoServer server = new MongoServer(backend);
        server.enableOplog();
        server.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
        Thread.currentThread().join();
    }
}

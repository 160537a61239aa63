package io.shoal.kcl;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.FileDescriptor;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.zip.CRC32;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/** Appends lines of JSON, each in one write. */
final class DeliveryLog {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final FileOutputStream STDOUT = new FileOutputStream(FileDescriptor.out);

    private final FileOutputStream file;
    private final String worker;

    DeliveryLog(FileOutputStream file, String worker) {
        this.file = file;
        this.worker = worker;
    }

    /** Writes down records that a processor was given. */
    void batch(String session, String shard, List<KinesisClientRecord> records) {
        ObjectNode line = JSON.createObjectNode();
        line.put("at", Instant.now().toString()).put("worker", worker).put("session", session).put("shard", shard);
        ArrayNode numbers = line.putArray("records");
        ArrayNode sums = line.putArray("crc32");
        for (KinesisClientRecord r : records) {
            numbers.add(r.subSequenceNumber() == 0 ? r.sequenceNumber() : r.sequenceNumber() + "/" + r.subSequenceNumber());
            CRC32 sum = new CRC32();
            sum.update(r.data().duplicate());
            sums.add(sum.getValue());
        }
        write(file, line);
    }

    /** Tells on standard output what has happened to a shard, or to the worker. */
    static void event(String event, String session, String shard, String detail) {
        ObjectNode line = JSON.createObjectNode();
        line.put("at", Instant.now().toString()).put("event", event).put("session", session).put("shard", shard).put("detail", detail);
        write(STDOUT, line);
    }

    private static synchronized void write(FileOutputStream to, ObjectNode line) {
        try {
            to.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

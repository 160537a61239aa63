package io.shoal.kcl;

import java.util.UUID;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;

/** Writes down each batch, then checkpoints it. */
final class LoggedProcessor implements ShardRecordProcessor {
    private final DeliveryLog log;
    private final String stream;
    private final String session = UUID.randomUUID().toString();
    private String shard = "";

    /** The stream is what the shard's name begins with in the log: nothing where there is one stream. */
    LoggedProcessor(DeliveryLog log, String stream) {
        this.log = log;
        this.stream = stream;
    }

    @Override
    public void initialize(InitializationInput input) {
        shard = stream + input.shardId();
        DeliveryLog.event("initialize", session, shard, input.extendedSequenceNumber().toString());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        if (!input.records().isEmpty()) {
            log.batch(session, shard, input.records());
            checkpoint(input.checkpointer());
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        DeliveryLog.event("leaseLost", session, shard, "");
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        DeliveryLog.event("shardEnded", session, shard, "");
        checkpoint(input.checkpointer());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        DeliveryLog.event("shutdownRequested", session, shard, "");
        checkpoint(input.checkpointer());
    }

    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint();
        } catch (ShutdownException e) {
            DeliveryLog.event("notCheckpointed", session, shard, e.getMessage()); // another worker has the shard
        } catch (InvalidStateException e) {
            throw new IllegalStateException(e);
        }
    }
}

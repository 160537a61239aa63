package io.shoal.conformance;

import java.io.FileOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A Java KCL worker that writes down what it is given.
 *
 * <pre>KclWorker -endpoint URL -stream NAME -app NAME -worker ID -output FILE [-failover-ms 10000] [-mode polling|fanout]</pre>
 *
 * <p>The file gets a line of JSON for each batch before the batch is checkpointed: worker, session (one for each tenure of a
 * shard), shard, records as sequence number or sequence/sub-sequence number, and the CRC-32 of each record's data. Standard
 * output gets a line for each event of a shard's life and "started" and "stopped" for the worker. Each line is one write, so
 * that a killed worker leaves whole lines. SIGTERM stops the worker gracefully.
 */
public final class KclWorker {
    private KclWorker() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = new HashMap<>(Map.of("-failover-ms", "10000", "-mode", "polling"));
        for (int i = 0; i + 1 < args.length; i += 2) {
            flags.put(args[i], args[i + 1]);
        }
        for (String name : new String[] {"-endpoint", "-stream", "-app", "-worker", "-output"}) {
            if (!flags.containsKey(name)) {
                System.err.println("KclWorker: " + name + " is missing");
                System.exit(2);
            }
        }
        Scheduler scheduler = scheduler(flags);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(scheduler)));
        DeliveryLog.event("started", flags.get("-worker"), "", "");
        scheduler.run();
    }

    /** Ends the worker within KCL's own limits and leaves the process only then. */
    private static void stop(Scheduler scheduler) {
        try {
            scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
            DeliveryLog.event("stopped", "", "", "");
        } catch (Exception e) {
            System.err.println("KclWorker: stop: " + e);
        }
    }

    private static Scheduler scheduler(Map<String, String> flags) throws IOException {
        URI endpoint = URI.create(flags.get("-endpoint"));
        String stream = flags.get("-stream");
        String app = flags.get("-app");
        String worker = flags.get("-worker");
        Region region = Region.US_EAST_1;
        KinesisAsyncClient kinesis =
                KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder().endpointOverride(endpoint).region(region));
        DynamoDbAsyncClient tables = DynamoDbAsyncClient.builder().endpointOverride(endpoint).region(region).build();
        CloudWatchAsyncClient metrics = CloudWatchAsyncClient.builder().endpointOverride(endpoint).region(region).build();
        DeliveryLog log = new DeliveryLog(new FileOutputStream(Path.of(flags.get("-output")).toFile(), true), worker);

        SingleStreamTracker tracker = new SingleStreamTracker(
                stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
        ConfigsBuilder configs = new ConfigsBuilder(tracker, app, kinesis, tables, metrics, worker, () -> new LoggedProcessor(log));
        RetrievalSpecificConfig retrieval = flags.get("-mode").equals("fanout")
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(app)
                : new PollingConfig(stream, kinesis);
        return new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig(),
                configs.leaseManagementConfig().failoverTimeMillis(Long.parseLong(flags.get("-failover-ms"))),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval));
    }
}

package io.shoal.kcl;

import java.io.FileOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.processor.StreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * What a worker is told. Everything that has no flag is as KCL sets it.
 *
 * <pre>-endpoint URL -stream NAME -app NAME -worker ID [-output FILE] [-mode polling|fanout] [-failover-ms N] [-idle-ms N]
 * [-shard-sync-ms N] [-leader-lease-ms N] [-leader-heartbeat-ms N]</pre>
 *
 * <p>With -streams FILE in place of -stream it reads, by polling, the streams that the file lists, and names shards by their
 * leases.
 *
 * <p>Without an output the worker tells of each batch on standard output how many records it has, and no more.
 */
final class Settings {
    private static final Region REGION = Region.US_EAST_1;

    private final Map<String, String> flags = new HashMap<>(Map.of("-mode", "polling"));

    /** Reads flags and their values, which begin at the second word. */
    Settings(String[] words) {
        for (int i = 1; i + 1 < words.length; i += 2) {
            flags.put(words[i], words[i + 1]);
        }
        for (String name : new String[] {"-endpoint", "-app", "-worker"}) {
            if (!flags.containsKey(name)) {
                throw new IllegalArgumentException(name + " is missing");
            }
        }
        if (flags.containsKey("-stream") == flags.containsKey("-streams")) {
            throw new IllegalArgumentException("want one of -stream and -streams");
        }
    }

    String worker() {
        return flags.get("-worker");
    }

    /** Loads most of the classes of a worker. */
    static void warmUp() {
        URI nowhere = URI.create("http://127.0.0.1:9");
        KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder().endpointOverride(nowhere).region(REGION)).close();
        DynamoDbAsyncClient.builder().endpointOverride(nowhere).region(REGION).build().close();
        CloudWatchAsyncClient.builder().endpointOverride(nowhere).region(REGION).build().close();
        try {
            Class.forName(Scheduler.class.getName());
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }

    Scheduler scheduler() throws IOException {
        URI endpoint = URI.create(flags.get("-endpoint"));
        String stream = flags.get("-stream");
        String app = flags.get("-app");
        KinesisAsyncClient kinesis =
                KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder().endpointOverride(endpoint).region(REGION));
        DynamoDbAsyncClient tables = DynamoDbAsyncClient.builder().endpointOverride(endpoint).region(REGION).build();
        CloudWatchAsyncClient metrics = CloudWatchAsyncClient.builder().endpointOverride(endpoint).region(REGION).build();
        ConfigsBuilder configs = new ConfigsBuilder(tracker(), app, kinesis, tables, metrics, worker(), processors());
        return new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig(),
                leases(configs.leaseManagementConfig()),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval(kinesis, stream, app)));
    }

    private StreamTracker tracker() {
        InitialPositionInStreamExtended start =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        return flags.containsKey("-streams")
                ? new ListedStreams(Path.of(flags.get("-streams")), start)
                : new SingleStreamTracker(flags.get("-stream"), start);
    }

    private ShardRecordProcessorFactory processors() throws IOException {
        if (!flags.containsKey("-output")) {
            return CountingProcessor::new;
        }
        DeliveryLog log = new DeliveryLog(new FileOutputStream(Path.of(flags.get("-output")).toFile(), true), worker());
        return new ShardRecordProcessorFactory() {
            @Override
            public ShardRecordProcessor shardRecordProcessor() {
                return new LoggedProcessor(log, "");
            }

            @Override
            public ShardRecordProcessor shardRecordProcessor(StreamIdentifier stream) {
                return flags.containsKey("-streams") ? new LoggedProcessor(log, stream.serialize() + ":") : shardRecordProcessor();
            }
        };
    }

    private LeaseManagementConfig leases(LeaseManagementConfig config) {
        if (flags.containsKey("-failover-ms")) {
            config.failoverTimeMillis(Long.parseLong(flags.get("-failover-ms")));
        }
        if (flags.containsKey("-shard-sync-ms")) {
            config.shardSyncIntervalMillis(Long.parseLong(flags.get("-shard-sync-ms")));
        }
        if (flags.containsKey("-leader-lease-ms")) {
            set(config, "dynamoDbLockBasedLeaderLeaseDurationInMillis", long.class, Long.valueOf(flags.get("-leader-lease-ms")));
        }
        if (flags.containsKey("-leader-heartbeat-ms")) {
            set(config, "dynamoDbLockBasedLeaderHeartbeatPeriodInMillis", long.class, Long.valueOf(flags.get("-leader-heartbeat-ms")));
        }
        return config;
    }

    private RetrievalSpecificConfig retrieval(KinesisAsyncClient kinesis, String stream, String app) {
        if (flags.get("-mode").equals("fanout")) {
            return new FanOutConfig(kinesis).streamName(stream).applicationName(app);
        }
        PollingConfig polling = stream == null ? new PollingConfig(kinesis) : new PollingConfig(stream, kinesis);
        if (flags.containsKey("-idle-ms")) {
            polling.idleTimeBetweenReadsInMillis(Long.parseLong(flags.get("-idle-ms")));
        }
        return polling;
    }

    /** Calls a setter that not all versions of KCL have. */
    private static void set(Object config, String setter, Class<?> type, Object value) {
        try {
            config.getClass().getMethod(setter, type).invoke(config, value);
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("this version of KCL has no setting " + setter, e);
        }
    }
}

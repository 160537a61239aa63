package io.shoal.kcl;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import software.amazon.kinesis.coordinator.Scheduler;

/**
 * Java KCL workers, one at a time, that write down what they are given.
 *
 * <pre>KclWorker</pre>
 *
 * <p>It loads what a worker needs, tells the event "idle" and reads commands from standard input, so that a fleet need not
 * wait for a JVM: "start" with the flags of {@link Settings} starts a worker, "stop" stops it gracefully, after which
 * another may be started. At the end of the input, and at SIGTERM, it stops gracefully and exits.
 *
 * <p>The worker's file gets a line of JSON for each batch before the batch is checkpointed: worker, session (one for each
 * tenure of a shard), shard, records as sequence number or sequence/sub-sequence number, and the CRC-32 of each record's
 * data. Standard output gets a line for each event of a shard's life, and "started" and "stopped" for the worker. Each line
 * is one write, so that a killed worker leaves whole lines.
 */
public final class KclWorker {
    private static Scheduler scheduler;

    private KclWorker() {}

    public static void main(String[] args) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(KclWorker::stop));
        Settings.warmUp();
        DeliveryLog.event("idle", "", "", "");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.trim().split(" +");
            if (words[0].equals("start")) {
                start(new Settings(words));
            } else if (words[0].equals("stop")) {
                stop();
            } else {
                System.err.println("KclWorker: " + words[0] + " is no command");
            }
        }
        System.exit(0); // through the hook: the SDK leaves threads behind
    }

    private static synchronized void start(Settings settings) throws Exception {
        scheduler = settings.scheduler();
        DeliveryLog.event("started", settings.worker(), "", "");
        new Thread(scheduler, "scheduler").start();
    }

    /** Stops the worker. One that leads takes as long as its lock waits between two heartbeats, 30 s by default, and more. */
    private static synchronized void stop() {
        if (scheduler == null) {
            return;
        }
        try {
            scheduler.startGracefulShutdown().get(150, TimeUnit.SECONDS);
            DeliveryLog.event("stopped", "", "", "");
        } catch (Exception e) {
            System.err.println("KclWorker: stop: " + e);
            DeliveryLog.event("stopFailed", "", "", e.toString());
        }
        scheduler = null;
    }
}

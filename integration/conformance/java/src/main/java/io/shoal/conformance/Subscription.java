package io.shoal.conformance;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.concurrent.CompletableFuture;
import org.reactivestreams.Subscriber;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;

/** Gathers the events of a subscription to a shard until they hold as many records as are wanted, or it ends. */
final class Subscription implements Subscriber<SubscribeToShardEventStream> {
    private final ArrayNode gathered = JsonNodeFactory.instance.arrayNode();
    private final CompletableFuture<ArrayNode> events = new CompletableFuture<>();
    private int missing;
    private org.reactivestreams.Subscription source;

    Subscription(int records) {
        missing = records;
    }

    /** The events, once there are enough. */
    CompletableFuture<ArrayNode> events() {
        return events;
    }

    /** Tells that the call is over; failure is null if it went well. */
    void end(Throwable failure) {
        if (failure != null) {
            events.completeExceptionally(failure);
        } else {
            events.complete(gathered);
        }
    }

    @Override
    public void onSubscribe(org.reactivestreams.Subscription s) {
        source = s;
        source.request(1);
    }

    @Override
    public void onNext(SubscribeToShardEventStream event) {
        if (event instanceof SubscribeToShardEvent e) {
            gathered.add(Values.plain(e));
            missing -= e.records().size();
            if (missing <= 0 && !e.hasChildShards()) {
                events.complete(gathered);
                source.cancel();
                return;
            }
        }
        source.request(1);
    }

    @Override
    public void onError(Throwable failure) {
        end(failure);
    }

    @Override
    public void onComplete() {
        end(null);
    }
}

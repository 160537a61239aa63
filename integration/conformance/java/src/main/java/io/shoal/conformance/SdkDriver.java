package io.shoal.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import software.amazon.awssdk.awscore.AwsResponse;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/**
 * Makes calls with the AWS SDK for Java, with its defaults: a request on each line of standard input, what its caller got on
 * each line of standard output. The argument is the endpoint. Subscriptions go through the asynchronous client, over HTTP/2.
 */
public final class SdkDriver {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Object> clients;
    private final KinesisAsyncClient async;

    private SdkDriver(URI endpoint) {
        clients = Map.of(
                "kinesis", KinesisClient.builder().endpointOverride(endpoint).build(),
                "dynamodb", DynamoDbClient.builder().endpointOverride(endpoint).build());
        async = KinesisAsyncClient.builder().endpointOverride(endpoint).build();
    }

    public static void main(String[] args) throws Exception {
        SdkDriver driver = new SdkDriver(URI.create(args[0]));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            out.println(JSON.writeValueAsString(driver.reply(JSON.readTree(line))));
        }
        System.exit(0);
    }

    private JsonNode reply(JsonNode request) {
        ObjectNode reply = JSON.createObjectNode();
        try {
            call(request, reply);
        } catch (Values.UnknownMember | ClassNotFoundException e) {
            reply.put("unknown", e.getMessage());
        } catch (AwsServiceException e) {
            failure(e, reply);
        } catch (Throwable e) { // whatever a bad answer makes of the client is a result too
            reply.put("broken", e.toString());
        }
        return reply;
    }

    private void call(JsonNode request, ObjectNode reply) throws Throwable {
        String service = request.get("service").asText();
        String op = request.get("op").asText();
        ObjectNode input = (ObjectNode) request.get("input");
        Class<?> type = Class.forName("software.amazon.awssdk.services." + service + ".model." + op + "Request");
        JsonNode records = input.remove("$records");
        Object built = Values.fill(type.getMethod("builder").invoke(null), input);
        if (records != null) {
            subscribe((SubscribeToShardRequest) built, records.asInt(), reply);
            return;
        }
        Object client = clients.get(service);
        Method method = client.getClass().getMethod(Character.toLowerCase(op.charAt(0)) + op.substring(1), type);
        method.setAccessible(true);
        AwsResponse response;
        try {
            response = (AwsResponse) method.invoke(client, built);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        reply.set("output", Values.plain((SdkPojo) response));
        reply.put("requestId", response.responseMetadata().requestId());
    }

    private static void failure(AwsServiceException e, ObjectNode reply) {
        ObjectNode error = reply.putObject("error");
        error.put("type", e.awsErrorDetails().errorCode());
        error.put("message", e.awsErrorDetails().errorMessage());
        ObjectNode members = Values.plain(e);
        members.remove("message");
        error.set("members", members);
        reply.put("requestId", e.requestId());
    }

    /** Reads events until they hold so many records, or the subscription ends. */
    private void subscribe(SubscribeToShardRequest request, int records, ObjectNode reply) throws Throwable {
        Subscription subscription = new Subscription(records);
        CompletableFuture<String> requestId = new CompletableFuture<>();
        SubscribeToShardResponseHandler handler = SubscribeToShardResponseHandler.builder()
                .onResponse(response -> requestId.complete(response.responseMetadata().requestId()))
                .subscriber(() -> subscription)
                .build();
        async.subscribeToShard(request, handler).whenComplete((none, failure) -> subscription.end(failure));
        try {
            reply.putObject("output").set("Events", subscription.events().join());
            reply.put("requestId", requestId.getNow(""));
        } catch (CompletionException e) {
            throw e.getCause() instanceof CompletionException inner ? inner.getCause() : e.getCause();
        }
    }
}

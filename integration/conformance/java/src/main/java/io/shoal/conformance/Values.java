package io.shoal.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.protocol.MarshallingType;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.core.traits.MapTrait;
import software.amazon.awssdk.core.util.SdkAutoConstructList;
import software.amazon.awssdk.core.util.SdkAutoConstructMap;
import software.amazon.awssdk.utils.builder.Buildable;

/** Converts between JSON and the SDK's values. Blobs are {"$bytes": base64}, moments {"$time": epoch milliseconds}. */
final class Values {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private Values() {}

    /** A member that this version of the SDK does not know. */
    static final class UnknownMember extends RuntimeException {
        UnknownMember(String name) {
            super("member " + name);
        }
    }

    /** Sets the members of a builder and builds. */
    static Object fill(Object builder, JsonNode members) {
        Map<String, SdkField<?>> fields = ((SdkPojo) builder).sdkFieldNameToField();
        members.fields().forEachRemaining(member -> {
            SdkField<?> field = fields.get(member.getKey());
            if (field == null) {
                throw new UnknownMember(member.getKey());
            }
            field.set(builder, value(field, member.getValue()));
        });
        return ((Buildable) builder).build();
    }

    private static Object value(SdkField<?> field, JsonNode json) {
        MarshallingType<?> type = field.marshallingType();
        if (type == MarshallingType.SDK_POJO) {
            return fill(field.constructor().get(), json);
        } else if (type == MarshallingType.LIST) {
            SdkField<?> item = field.getTrait(ListTrait.class).memberFieldInfo();
            List<Object> list = new ArrayList<>();
            json.forEach(v -> list.add(value(item, v)));
            return list;
        } else if (type == MarshallingType.MAP) {
            SdkField<?> item = field.getTrait(MapTrait.class).valueFieldInfo();
            Map<String, Object> map = new LinkedHashMap<>();
            json.fields().forEachRemaining(v -> map.put(v.getKey(), value(item, v.getValue())));
            return map;
        } else if (type == MarshallingType.SDK_BYTES) {
            return SdkBytes.fromByteArray(Base64.getDecoder().decode(json.get("$bytes").asText()));
        } else if (type == MarshallingType.INSTANT) {
            return Instant.ofEpochMilli(json.get("$time").asLong());
        } else if (type == MarshallingType.INTEGER) {
            return json.asInt();
        } else if (type == MarshallingType.LONG) {
            return json.asLong();
        } else if (type == MarshallingType.DOUBLE) {
            return json.asDouble();
        } else if (type == MarshallingType.BOOLEAN) {
            return json.asBoolean();
        }
        return json.asText();
    }

    /** The members of a value that the service sent. */
    static ObjectNode plain(SdkPojo pojo) {
        ObjectNode out = NODES.objectNode();
        for (SdkField<?> field : pojo.sdkFields()) {
            Object value = field.getValueOrDefault(pojo);
            if (value != null && !(value instanceof SdkAutoConstructList) && !(value instanceof SdkAutoConstructMap)) {
                out.set(field.locationName(), plain(value));
            }
        }
        return out;
    }

    private static JsonNode plain(Object value) {
        if (value instanceof SdkPojo pojo) {
            return plain(pojo);
        } else if (value instanceof List<?> list) {
            ArrayNode out = NODES.arrayNode();
            list.forEach(v -> out.add(plain(v)));
            return out;
        } else if (value instanceof Map<?, ?> map) {
            ObjectNode out = NODES.objectNode();
            map.forEach((k, v) -> out.set(k.toString(), plain(v)));
            return out;
        } else if (value instanceof SdkBytes bytes) {
            return NODES.objectNode().put("$bytes", Base64.getEncoder().encodeToString(bytes.asByteArray()));
        } else if (value instanceof Instant moment) {
            return NODES.objectNode().put("$time", moment.toEpochMilli());
        } else if (value instanceof Boolean bool) {
            return NODES.booleanNode(bool);
        } else if (value instanceof Number number) {
            return NODES.numberNode(number.doubleValue());
        }
        return NODES.textNode(value.toString());
    }
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * GoldenMessages - prints every message of the Kafka protocol, encoded by Kafka's own Java client; see README.
 *
 * One line per message: direction, key, version, variant, hex.  Variants:
 *   full      every field that the version carries has a value of its own, tagged fields too, arrays hold two elements
 *   sparse    null wherever null is allowed, else as full; tagged fields absent
 *   default   a new object
 * and one line per API with the header versions of its requests and responses.  Values come from a counter: the output is always the same.
 *
 * Which fields a version carries is read from the schema that the client publishes beside each class.
 */
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.ArrayOf;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.CompactArrayOf;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.BaseRecords;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;

public class GoldenMessages {
    static final List<Integer> KEYS = new ArrayList<>();
    static {
        for (int key = 0; key <= 51; key++)
            KEYS.add(key);
        KEYS.addAll(Arrays.asList(56, 57, 58, 60, 61, 65, 66, 67, 68, 69));
    }

    enum Variant { FULL, SPARSE, DEFAULT }

    final Variant variant;
    int counter;

    GoldenMessages(Variant variant) {
        this.variant = variant;
    }

    public static void main(String[] args) throws Exception {
        for (int key : KEYS) {
            ApiMessageType type = ApiMessageType.fromApiKey((short) key);
            short low = type.lowestSupportedVersion(), high = type.highestSupportedVersion(false);
            StringBuilder headers = new StringBuilder();
            for (short v = low; v <= high; v++)
                headers.append(' ').append(type.requestHeaderVersion(v)).append('/').append(type.responseHeaderVersion(v));
            System.out.println("api " + key + " " + type.name + " " + low + " " + high + headers);
            for (short v = low; v <= high; v++) {
                final short version = v;
                print("request", key, version, () -> type.newRequest());
                print("response", key, version, () -> type.newResponse());
            }
        }
        for (short v = 0; v <= 2; v++)
            print("header", 0, v, () -> new RequestHeaderData());
        for (short v = 0; v <= 1; v++)
            print("header", 1, v, () -> new ResponseHeaderData());
    }

    interface Maker {
        Message make();
    }

    static void print(String direction, int key, short version, Maker maker) throws Exception {
        String last = null;
        for (Variant variant : Variant.values()) {
            Message message = maker.make();
            if (variant != Variant.DEFAULT) {
                Schema[] schemas = (Schema[]) message.getClass().getField("SCHEMAS").get(null);
                new GoldenMessages(variant).fill(message, schemas[version]);
            }
            String line;
            try {
                line = hex(MessageUtil.toByteBuffer(message, version));
            } catch (Exception e) {
                throw new IllegalStateException(direction + " " + key + " version " + version + " " + variant + ": " + message, e);
            }
            if (!line.equals(last))
                System.out.println(direction + " " + key + " " + version + " " + variant.name().toLowerCase(Locale.ROOT) + " " + line);
            last = line;
        }
    }

    static String hex(ByteBuffer buffer) {
        StringBuilder out = new StringBuilder();
        while (buffer.hasRemaining())
            out.append(String.format("%02x", buffer.get()));
        return out.length() == 0 ? "-" : out.toString();
    }

    void fill(Object target, Schema schema) throws Exception {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields) {
                if (variant == Variant.FULL)
                    for (Field field : taggedFields((TaggedFields) bound.def.type))
                        set(target, field);
            } else {
                set(target, bound.def);
            }
        }
    }

    @SuppressWarnings("unchecked")
    static Collection<Field> taggedFields(TaggedFields type) throws Exception {
        java.lang.reflect.Field fields = TaggedFields.class.getDeclaredField("fields");
        fields.setAccessible(true);
        return ((Map<Integer, Field>) fields.get(type)).values();
    }

    void set(Object target, Field field) throws Exception {
        String wanted = "set" + field.name.replace("_", "");
        for (Method method : target.getClass().getMethods()) {
            if (!method.getName().equalsIgnoreCase(wanted) || method.getParameterCount() != 1)
                continue;
            boolean nullable = field.type.isNullable();
            Object value = variant == Variant.SPARSE && nullable ? null
                : value(method.getParameterTypes()[0], method.getGenericParameterTypes()[0], field.type);
            method.invoke(target, value);
            return;
        }
        throw new IllegalStateException("no " + wanted + " in " + target.getClass());
    }

    static Schema schemaOf(org.apache.kafka.common.protocol.types.Type type) {
        if (type instanceof ArrayOf)
            return schemaOf(((ArrayOf) type).arrayElementType().get());
        if (type instanceof CompactArrayOf)
            return schemaOf(((CompactArrayOf) type).arrayElementType().get());
        return (Schema) type;
    }

    Object value(Class<?> javaType, Type generic, org.apache.kafka.common.protocol.types.Type type) throws Exception {
        int n = ++counter;
        if (javaType == boolean.class || javaType == Boolean.class)
            return true;
        if (javaType == byte.class || javaType == Byte.class)
            return (byte) (n % 100 + 3);
        if (javaType == short.class || javaType == Short.class)
            return (short) (n * 257);
        if (javaType == int.class || javaType == Integer.class)
            return n * 16843009;
        if (javaType == long.class || javaType == Long.class)
            return n * 72340172838076673L;
        if (javaType == double.class || javaType == Double.class)
            return n + 0.25;
        if (javaType == String.class)
            return n % 7 == 0 ? "" : "s\u00e9-" + n;
        if (javaType == Uuid.class)
            return new Uuid(n * 72057594037927936L + 1, n);
        if (javaType == byte[].class)
            return bytes(n);
        if (javaType == ByteBuffer.class)
            return ByteBuffer.wrap(bytes(n));
        if (BaseRecords.class.isAssignableFrom(javaType))
            return MemoryRecords.withRecords(Compression.NONE, new SimpleRecord(1700000000000L + n, bytes(n), bytes(n + 1)));
        if (Collection.class.isAssignableFrom(javaType))
            return collection(javaType, generic, type);
        Object struct = javaType.getDeclaredConstructor().newInstance();
        fill(struct, schemaOf(type));
        return struct;
    }

    static byte[] bytes(int n) {
        byte[] out = new byte[n % 5];
        Arrays.fill(out, (byte) n);
        return out;
    }

    @SuppressWarnings("unchecked")
    Object collection(Class<?> javaType, Type generic, org.apache.kafka.common.protocol.types.Type type) throws Exception {
        Collection<Object> out = javaType.isInterface() ? new ArrayList<>()
            : (Collection<Object>) javaType.getDeclaredConstructor().newInstance();
        Type element = generic instanceof ParameterizedType ? ((ParameterizedType) generic).getActualTypeArguments()[0]
            : ((ParameterizedType) javaType.getGenericSuperclass()).getActualTypeArguments()[0];
        for (int i = 0; i < 2; i++)
            out.add(value((Class<?>) element, element, type.isArray() ? type.arrayElementType().get() : type));
        return out;
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Every key of the broker's definition with each of a list of values: does Java Kafka take it at start?
// First line: the values, tab-separated.  Then one line per key: KEY<tab>one letter per value, y(es) or n(o).
// usage: java -cp 'LIBS/*' StaticGolden.java >static.golden
import java.io.PrintStream;
import java.util.*;

public class StaticGolden {
    static final String[] VALUES = { "", "0", "1", "-1", "-2", "5", "13", "14", "100", "1024", "4096", " 7 ", "2147483647", "2147483648",
        "9223372036854775807", "true", "FALSE", "yes", "0.5", "2.5", "NaN", "delete", "compact,delete", "PLAINTEXT", "SSL", "gzip", "none", "3.9",
        "0.10", "CreateTime", "A:1", "A:PLAINTEXT", "PLAINTEXT://:9092", "PLAINTEXT://h:9092,SSL://h:9093", "PLAINTEXT://h:9092,SSL://h:9092",
        "PLAINTEXT://0.0.0.0:1", "SSL://:1", "classic", "consumer", "upgrade", "/x,/y", "/x,,/y" };

    static char taken(String key, String value) {
        Properties p = new Properties();
        p.put("broker.id", "1");
        p.put("zookeeper.connect", "localhost:2181");
        p.put("log.dirs", "/a");
        p.put(key, value);
        try {
            new kafka.server.KafkaConfig(p, false);
            return 'y';
        } catch (Throwable e) {
            return 'n';
        }
    }

    public static void main(String[] args) {
        PrintStream out = System.out;
        System.setOut(System.err);
        out.println(String.join("\t", VALUES));
        for (String key : new TreeSet<>(kafka.server.KafkaConfig$.MODULE$.configDef().names())) {
            StringBuilder s = new StringBuilder(key + "\t");
            for (String value : VALUES)
                s.append(taken(key, value));
            out.println(s);
        }
        out.flush();
    }
}

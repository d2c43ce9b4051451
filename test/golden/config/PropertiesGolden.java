// SPDX-License-Identifier: Apache-2.0
//
// Random texts out of the characters that matter, and what java.util.Properties makes of them: one line each,
// "TEXT<tab>KEY=VALUE ...", all in hexadecimal of bytes (UTF-8 for keys and values), keys sorted; or "TEXT<tab>BAD".
// Texts with a NUL or half a surrogate pair in the result are left out: those we refuse or replace on purpose.
// usage: java PropertiesGolden.java >properties.golden
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.*;

public class PropertiesGolden {
    static String hex(byte[] b) {
        StringBuilder s = new StringBuilder();
        for (byte x : b)
            s.append(String.format("%02x", x));
        return s.toString();
    }

    static String result(byte[] text) throws Exception {
        Properties p = new Properties();
        try {
            p.load(new ByteArrayInputStream(text));
        } catch (IllegalArgumentException e) {
            return "BAD";
        }
        TreeMap<String, String> sorted = new TreeMap<>();
        for (String key : p.stringPropertyNames()) {
            String both = key + p.getProperty(key);
            if (both.chars().anyMatch(c -> c == 0 || Character.isSurrogate((char) c)))
                return null;
            sorted.put(hex(key.getBytes(StandardCharsets.UTF_8)), hex(p.getProperty(key).getBytes(StandardCharsets.UTF_8)));
        }
        StringBuilder s = new StringBuilder();
        sorted.forEach((k, v) -> s.append(s.length() == 0 ? "" : " ").append(k).append('=').append(v));
        return s.toString();
    }

    public static void main(String[] args) throws Exception {
        String letters = "a=: \t\f\r\n\\#!u0d8Dcfe\u00ff\u0001b\n\n\\\\";
        Random random = new Random(42);
        for (int n = 0; n < 500; ) {
            byte[] text = new byte[random.nextInt(40)];
            for (int i = 0; i < text.length; i++)
                text[i] = (byte) letters.charAt(random.nextInt(letters.length()));
            String r = result(text);
            if (r == null || (r.equals("BAD") && random.nextInt(8) != 0))
                continue;
            System.out.println(hex(text) + "\t" + r);
            n++;
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
// What Kafka's own password encoder writes, for every algorithm we read: secret, password and text, separated by tabs, in UTF-8.
import java.io.PrintStream;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.security.EncryptingPasswordEncoder;

public class PasswordGolden {
	static final String[][] SCHEMES = {
		{ null, "AES/CBC/PKCS5Padding", "128", "4096" }, { null, "AES/CBC/PKCS5Padding", "256", "1024" },
		{ "PBKDF2WithHmacSHA1", "AES/GCM/NoPadding", "256", "1024" }, { "PBKDF2WithHmacSHA224", "AES/CBC/PKCS5Padding", "192", "1024" },
		{ "PBKDF2WithHmacSHA256", "AES/CTR/NoPadding", "192", "2000" }, { "PBKDF2WithHmacSHA384", "AES/CFB/NoPadding", "128", "1024" },
		{ "PBKDF2WithHmacSHA512", "AES/OFB/NoPadding", "128", "1024" }, { null, "DESede/CBC/PKCS5Padding", "192", "1024" },
	};
	static final String[] PASSWORDS = { "hunter2", "with, a:comma= and \u00fc\u20ac\ud83d\ude00", "exactly sixteen!", "", "x".repeat(1000) };

	public static void main(String[] args) throws Exception {
		PrintStream out = new PrintStream(System.out, true, "UTF-8");
		for (String[] s : SCHEMES)
			for (String secret : new String[] { "key", "schl\u00fcssel \ud83d\udd11" })
				for (String password : PASSWORDS)
					out.println(secret + "\t" + password + "\t" + new EncryptingPasswordEncoder(new Password(secret), s[0], s[1],
					    Integer.parseInt(s[2]), Integer.parseInt(s[3])).encode(new Password(password)));
	}
}

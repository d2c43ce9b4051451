/* SPDX-License-Identifier: Apache-2.0
 *
 * kafka-consumer-groups for many command lines in one JVM: each argument is one line, words apart by blanks.  What each prints stands below "> LINE", and
 * below that, where it would have ended with a status, why.
 */
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

public class ConsumerGroups {
	static class Ended extends Error {
		Ended(int status, String why) {
			super("status " + status + ": " + why);
		}
	}

	public static void main(String[] lines) {
		Exit.setExitProcedure((status, why) -> {
			throw new Ended(status, why);
		});
		for (String line : lines) {
			System.out.println("\n> " + line);
			try {
				ConsumerGroupCommand.main(line.split(" "));
			} catch (Ended e) {
				System.out.println(e.getMessage());
			}
			System.out.flush();
		}
	}
}

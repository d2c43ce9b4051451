/* SPDX-License-Identifier: Apache-2.0
 *
 * kafka-consumer-groups for many command lines in one JVM: each argument is one line, words apart by blanks.  What each prints stands below "> LINE".
 */
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

public class ConsumerGroups {
	public static void main(String[] lines) {
		for (String line : lines) {
			System.out.println("\n> " + line);
			ConsumerGroupCommand.main(line.split(" "));
			System.out.flush();
		}
	}
}

# SPDX-License-Identifier: Apache-2.0
"""What the functional tests stand on: processes, ZooKeeper, brokers of both kinds, clients, raw frames, log files."""

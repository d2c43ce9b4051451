/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/configs.h - reading and changing the settings of topics, brokers and the broker's diagnostics (ConfigAdminManager, ConfigHelper).
 *
 * A topic's settings are read from its znode each time; a broker's are those in force.  Changes go to /config/topics/T or /config/brokers/N
 * together with a change notification; who follows /config/changes (broker/) puts them into force.
 */
#ifndef ADMIN_CONFIGS_H
#define ADMIN_CONFIGS_H

#include "admin/admin.h"
#include "config/alter.h"
#include "config/describe.h"

/* The numbers of the wire (ConfigResource.Type). */
enum admin_resource_type { ADMIN_RESOURCE_UNKNOWN = 0, ADMIN_RESOURCE_TOPIC = 2, ADMIN_RESOURCE_BROKER = 4, ADMIN_RESOURCE_BROKER_LOGGER = 8,
	ADMIN_RESOURCE_CLIENT_METRICS = 16 };

struct admin_described {
	int8_t		 type;		/* as received */
	struct slice	 name;
	struct config_names names;	/* count 0: all */
	struct admin_outcome outcome;
	struct config_description description;
};

struct admin_describe_configs {
	struct admin_job job;
	struct admin_described *resources;
	int32_t		 nresources;
	void		*state;
};
void	 admin_describe_configs(struct admin *, struct admin_describe_configs *);

struct admin_altered {
	int8_t		 type;
	struct slice	 name;
	const struct config_wish *wishes;
	int32_t		 nwishes;
	struct admin_outcome outcome;
	bool		 refused;	/* the admin's */
};

struct admin_alter_configs {
	struct admin_job job;
	struct admin_altered *resources;	/* duplicates are refused here */
	int32_t		 nresources;
	bool		 incremental;	/* else the wishes are the whole new set */
	bool		 validate_only;
	void		*state;
};
void	 admin_alter_configs(struct admin *, struct admin_alter_configs *);

#endif

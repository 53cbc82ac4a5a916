// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* vrouter.bpf.c: the object that the agent loads: the programs over one set of maps. */
#include "from_vif.h"
#include "from_overlay.h"
#include "from_service.h"
#include "lib/neighbour.h"
#include "lib/refuse.h"
#include "lib/limit.h"
#include "lib/seek.h"
#include "collect.h"
#include "from_uplink.h"
#include "outside.h"
#include "host_probe.h"
#include "from_frag.h"
#include "mirrored.h"
#include "enter.h"
#include "trace.h"

char _license[] SEC("license") = "Dual BSD/GPL";

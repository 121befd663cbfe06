/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Types that only Go needs: without a user they would not be in the object. */
#pragma once

#include "reasons.h"
#include "types.h"

const enum drop_stage *export_stage __attribute__((unused));
const enum drop_reason *export_reason __attribute__((unused));
const enum port_flags *export_port_flags __attribute__((unused));
const enum flow_state *export_flow_state __attribute__((unused));
const enum flow_flags *export_flow_flags __attribute__((unused));
const enum flow_seen *export_flow_seen __attribute__((unused));
const enum list_flags *export_list_flags __attribute__((unused));
const enum hit_kind *export_hit_kind __attribute__((unused));
const enum route_target *export_route_target __attribute__((unused));
const enum filter_verdict *export_filter_verdict __attribute__((unused));
const enum public_flags *export_public_flags __attribute__((unused));

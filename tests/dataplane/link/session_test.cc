// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/link_rig.h"

namespace penstock {
namespace {

using test::Flow;
using test::FlowConfig;
using test::LinkRig;
using test::RigConfig;

TEST(Link, CarriesMessagesInOrder) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {});
  rig.application = [&] { return f.publish(8) + f.read(8) != 0; };
  EXPECT_TRUE(rig.run_until([&] { return f.done(); }, 1'000'000'000)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
  EXPECT_EQ(f.ledger.delivered(), 200u);
  EXPECT_EQ(rig.link(0).stats().retransmitted.read(), 0u);
}

}  // namespace
}  // namespace penstock

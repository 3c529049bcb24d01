#include "control/config/docs.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

#include "control/config/load.h"
#include "control/config/options.h"
#include "control/config/value.h"

namespace penstock {
namespace {

// The example with its commented lines taken in: what a user gets who enables everything.
std::string enabled(const std::string& example) {
  std::string out;
  for (size_t at = 0; at < example.size();) {
    const size_t end = example.find('\n', at);
    const std::string line = example.substr(at, end - at);
    const bool option = line.starts_with("# ") &&
                        (line.find(" = ") != std::string::npos || line.starts_with("# [["));
    out += (option ? line.substr(2) : line) + "\n";
    at = end + 1;
  }
  return out;
}

TEST(Example, ParsesToTheDefaults) {
  const Loaded from_example = parse(example(), "example");
  const Loaded from_nothing = parse("[node]\nid = 1\n", "least");
  ASSERT_TRUE(from_example) << text(from_example.error().front());
  ASSERT_TRUE(from_nothing);
  EXPECT_EQ(full(*from_example), full(*from_nothing));
}

TEST(Example, IsValidWithEverythingEnabled) {
  const Loaded loaded = parse(enabled(example()), "example");
  ASSERT_TRUE(loaded) << text(loaded.error().front());
  EXPECT_EQ(loaded->ports.size(), 1u);
  EXPECT_EQ(loaded->peers.size(), 1u);
  EXPECT_EQ(loaded->rules.size(), 1u);
}

TEST(Full, ParsesToTheSame) {
  const Loaded loaded = parse(enabled(example()), "example");
  ASSERT_TRUE(loaded) << text(loaded.error().front());
  const std::string once = full(*loaded);
  const Loaded again = parse(once, "full");
  ASSERT_TRUE(again) << text(again.error().front());
  EXPECT_EQ(full(*again), once);
}

TEST(Options, HaveDefaultsWithinTheirBounds) {
  Config config;
  for (const Option& option : options()) {
    PortOptions port;
    PeerOptions peer;
    Rule rule;
    const Slot slot = option.slot({&config, &port, &peer, &rule});
    assign_default(option, slot);
    if (option.fallback.empty()) continue;
    const std::string bare(option.fallback);
    const std::string in_file = option.kind == Kind::kInteger ? bare : '"' + bare + '"';
    EXPECT_EQ(written(option, slot), in_file) << option.key;
  }
}

TEST(Options, AreAllInTheHelp) {
  for (const Option& option : options()) {
    EXPECT_NE(help().find(option.text), std::string::npos) << option.key;
  }
}

TEST(OptionsPage, IsWhatTheTableSays) {
  std::ifstream in(OPTIONS_PAGE);
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(page, markdown()) << "penstock config markdown > control/config/OPTIONS.md";
}

}  // namespace
}  // namespace penstock

#include "control/cli/table.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

TEST(Table, LinesColumnsUp) {
  Table table({"NAME", ">COUNT", "STATE"});
  table.add({"a", "1", "up"});
  table.add({"longer", "12345678", ""});
  EXPECT_EQ(table.text(),
            "NAME       COUNT  STATE\n"
            "a              1  up\n"
            "longer  12345678\n");
}

TEST(Table, LeavesEmptyColumnsOut) {
  Table table({"NAME", "NEVER"});
  table.add({"a", ""});
  EXPECT_EQ(table.text(), "NAME\na\n");
}

TEST(Table, KeepsTheTerminalSafe) {
  Table table({"NAME"});
  table.add({"\x1b[2Jx\n"});
  EXPECT_EQ(table.text(), "NAME\n?[2Jx?\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({"A", "B"});
  table.add({"\xc3\xa9\xc3\xa9", "x"});
  table.add({"abc", "y"});
  EXPECT_EQ(table.text(), "A    B\n\xc3\xa9\xc3\xa9   x\nabc  y\n");
}

}  // namespace
}  // namespace penstock::cli

#include "dataplane/client/reader_tables.h"

#include <gtest/gtest.h>

namespace penstock::client {
namespace {

SealedMemory table() {
  SealedMemory m = std::move(*SealedMemory::create("table", sizeof(PositionTable)));
  EXPECT_EQ(m.seal_writes(), Errc::kOk);
  return m;
}

TEST(ReaderTables, EachIsMappedOnce) {
  ReaderTables tables;
  const SealedMemory m = table();
  const auto first = tables.use(7, m.fd());
  ASSERT_TRUE(first.ok());
  const auto second = tables.use(7, -1);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_FALSE(tables.use(8, -1).ok());
}

TEST(ReaderTables, StayUntilForgottenAndUnused) {
  ReaderTables tables;
  const SealedMemory m = table();
  ASSERT_TRUE(tables.use(7, m.fd()).ok());
  ASSERT_TRUE(tables.use(7, -1).ok());
  tables.drop(7);
  tables.forget(7);
  EXPECT_TRUE(tables.use(7, -1).ok());  // one user was left
  tables.drop(7);
  tables.drop(7);
  EXPECT_TRUE(tables.use(7, -1).ok());  // not forgotten since it was used again
  tables.forget(7);
  tables.drop(7);
  EXPECT_FALSE(tables.use(7, -1).ok());
  tables.forget(99);
  tables.drop(99);
}

}  // namespace
}  // namespace penstock::client

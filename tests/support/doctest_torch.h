// tests/support/doctest_torch.h: LibTorch beside doctest. Both define CHECK and its family;
// doctest's must win, or a CHECK counts no assertion. Nothing else includes doctest beside torch.
#pragma once

#include <ATen/ATen.h>

#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LE
#undef CHECK_LT
#undef CHECK_GE
#undef CHECK_GT
#undef CHECK_THROWS_WITH

#include <doctest/doctest.h>

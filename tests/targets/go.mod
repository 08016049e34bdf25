// SPDX-License-Identifier: Apache-2.0
module prowltest

go 1.19

// SPDX-License-Identifier: Apache-2.0
module example/service

go 1.19

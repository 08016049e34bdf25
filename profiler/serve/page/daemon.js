// SPDX-License-Identifier: Apache-2.0
// Asks the daemon and shows what it says.

async function beginDaemon() {
	const line = document.getElementById('total'), answer = await fetch('api/v1/status'), said = await answer.json();

	line.textContent = said.error ? said.error.message : `prowl ${said.version} on ${said.host}`;
}

beginDaemon();

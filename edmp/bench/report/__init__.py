"""Results as a researcher reads them: tables, figures and what they mean, as one HTML page or as Markdown."""
